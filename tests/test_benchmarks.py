"""Benchmarks and the examples' scripts are beside the package: they still understand each other."""

import random
import runpy

import pytest

from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow
SCRIPTS = [p for p in (CHECKOUT / "benchmarks").glob("*.py") if "__main__" in p.read_text()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_benchmarks_say_what_they_measure(run_program, script):
    done = run_program(str(script), "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout


def test_probabilities_of_n_grams_sum_to_one():
    model = runpy.run_path(str(CHECKOUT / "benchmarks" / "ngram_lm.py"))["NgramLM"]
    draw = random.Random(1)
    text = [draw.choice((4, 4, 5, 6, 7)) for _ in range(300)]
    lm = model(text, symbols=9, order=3)
    for context in ((), (4,), (5, 6), (6, 8), (8, 8), (4, 5, 6)):
        assert sum(lm.probability((*context, v)) for v in range(9)) == pytest.approx(1.0)
    regular = model([4, 5, 6] * 50, symbols=9, order=3)
    assert regular.probability((4, 5, 6)) > 0.98
    assert 0 < regular.probability((4, 5, 4)) < 0.01
