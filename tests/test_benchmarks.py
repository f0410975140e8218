"""Benchmarks and the examples' scripts are beside the package: they still understand each other."""

import pytest

from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow
SCRIPTS = [p for p in (CHECKOUT / "benchmarks").glob("*.py") if "__main__" in p.read_text()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_benchmarks_say_what_they_measure(run_program, script):
    done = run_program(str(script), "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout
