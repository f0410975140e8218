"""fairseq finds the plugin however it comes to it: each way in a fresh process.

An unknown task or architecture is a wrong choice to fairseq, exit code 2: --help that succeeds with
ours shows that they are registered.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

OURS = ["--task", "right_to_left_language_modeling", "--arch", "transformer_lm_base_lm", "--help"]


def fairseq_train(*arguments, cwd):
    program = Path(sys.executable).parent / "fairseq-train"
    return run([program, *arguments], cwd)


def run(command, cwd):
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)


def test_fairseq_alone_does_not_know_it(tmp_path):
    done = fairseq_train(*OURS, cwd=tmp_path)
    assert done.returncode == 2 and "invalid choice" in done.stderr


def test_from_the_checkout():
    done = fairseq_train("--user-dir", "fairseq_ebm", *OURS, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr


def test_from_another_directory(tmp_path):
    done = fairseq_train("--user-dir", CHECKOUT / "fairseq_ebm", *OURS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_without_being_installed(tmp_path):
    """A bare copy in a directory with a space, seen by fairseq alone."""
    copy = tmp_path / "a copy" / "fairseq_ebm"
    shutil.copytree(CHECKOUT / "fairseq_ebm", copy)
    script = (
        "import sys; from fairseq_cli.train import cli_main\n"
        "try: cli_main()\n"
        "finally: print('imported from', sys.modules['fairseq_ebm'].__file__)"
    )
    done = run([sys.executable, "-c", script, "--user-dir", copy, *OURS], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"imported from {copy}" in done.stdout


@pytest.mark.parametrize("first", ["fairseq_ebm", "fairseq_ebm.models.base_lm"])
def test_installed_and_imported_before(tmp_path, first):
    script = f"import {first}; from fairseq_cli.train import cli_main; cli_main()"
    user_dir = ["--user-dir", CHECKOUT / "fairseq_ebm"]
    done = run([sys.executable, "-c", script, *user_dir, *OURS], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "import fairseq_ebm; fairseq_ebm.register()",
        "import fairseq_ebm, fairseq",
        "from fairseq_ebm import JointModel",
    ],
)
def test_registering_leaves_logging_as_it_was(tmp_path, words):
    code = "import logging; a = logging.root.level, logging.root.handlers[:]; "
    code += f"{words}; assert a == (logging.root.level, logging.root.handlers)"
    done = run([sys.executable, "-c", code], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def modules_of(code, cwd):
    done = run([sys.executable, "-X", "importtime", "-c", code], cwd)
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}


def test_the_mathematics_needs_no_fairseq(tmp_path):
    names = [path.stem for path in (CHECKOUT / "fairseq_ebm" / "numerics").glob("[a-z]*.py")]
    code = "; ".join(f"import fairseq_ebm.numerics.{name}" for name in names)
    modules = modules_of(code, tmp_path)
    assert "torch" in modules and "fairseq_ebm.numerics.partition" in modules
    assert not any(name.split(".")[0] in ("fairseq", "transformers") for name in modules)


def test_the_package_alone_imports_neither_fairseq_nor_torch(tmp_path):
    modules = modules_of("from fairseq_ebm import EvalLM, run", tmp_path)
    assert not {"torch", "fairseq", "numpy"} & modules


@pytest.mark.parametrize(
    "words",
    [
        "import fairseq_ebm, fairseq",
        "import fairseq, fairseq_ebm",
        "import fairseq_cli, fairseq_ebm; import fairseq_cli.train",
        "import fairseq_ebm.lm.sampler, fairseq_ebm as e; e.register(); e.register()",
        "import fairseq, fairseq_ebm.joint.api",
        "import fairseq_ebm.reports.report, fairseq_cli.train",
    ],
)
def test_tasks_are_there_once_both_are_imported(tmp_path, words):
    """Also where one of our own modules imports fairseq, from any room."""
    code = f"{words}; from fairseq.tasks import TASK_REGISTRY as t; assert 'residual_ebm_lm' in t"
    done = run([sys.executable, "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
