"""Programs in fresh processes, and prepared text that several tests read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def run_program():
    """Runs an installed program, e.g. run_program("fairseq-ebm-prepare", "--help")."""

    def run(program, *arguments, cwd=None, timeout=240):
        executable = Path(sys.executable).parent / program
        return subprocess.run(
            [str(executable), *map(str, arguments)],
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "2"},
        )

    return run


@pytest.fixture(scope="session")
def pydocs(run_program, tmp_path_factory):
    """The corpus pydocs, prepared by the program itself."""
    data = tmp_path_factory.mktemp("prepared") / "py docs"
    done = run_program("fairseq-ebm-prepare", "--corpus", "pydocs", "--dest", data)
    assert done.returncode == 0, done.stderr
    return data
