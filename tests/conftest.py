"""Programs in fresh processes, and prepared text that several tests read."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

# Models here are tiny: more threads would only wait for each other, long on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from fairseq_ebm import register
from fairseq_ebm.workflow.children import become
from tests.browser import chromium  # noqa: F401 (a fixture)

register()  # tests build energies and tasks in this process

CHECKOUT = Path(__file__).resolve().parent.parent


def ours(*words):
    """The command line of our own program, to start it as a process of its own."""
    return [str(Path(sys.executable).parent / "fairseq-ebm"), *map(str, words)]


# Importing fairseq takes seconds. This server imports it once, does nothing else, and forks a
# process for every program: as good as a fresh one, but for the imports.
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(
    [
        "fairseq_cli.train",
        "torch._dynamo",
        "fairseq_ebm.cli.main",
        "fairseq_ebm.data.prepare",
        "fairseq_ebm.negatives.generate",
        "fairseq_ebm.evaluation.eval_lm",
        "fairseq_ebm.detection.discriminate",
        "fairseq_ebm.weaknesses.questions",
        "fairseq_ebm.joint.next_token",
        "fairseq_ebm.joint.analyse",
        "fairseq_ebm.human_eval.export",
        "fairseq_ebm.explore.pages",
        "fairseq_ebm.reports.terminal",
        "fairseq_cli.generate",
        "fairseq_cli.interactive",
    ]
)


def pytest_collection_modifyitems(items):
    slow = set((CHECKOUT / "tests" / "slow.txt").read_text(encoding="utf-8").split("\n"))
    for item in items:
        if "chromium" in item.fixturenames or item.nodeid.partition("[")[0] in slow:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def strict_json(tmp_path_factory):
    """Whatever JSON a test has had written, every parser must read it."""
    yield

    def refuse(name):
        raise AssertionError(name)

    for path in tmp_path_factory.getbasetemp().rglob("*.json*"):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for part in text.splitlines() if path.suffix == ".jsonl" else [text]:
            try:
                json.loads(part, parse_constant=refuse)
            except AssertionError as name:
                pytest.fail(f"{path}: {name} is no JSON")
            except (ValueError, RecursionError):
                pass  # broken on purpose, or cut off


def heed_interrupts():
    """For a program that is to be interrupted: jobs in the background of a shell heed none."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _become(command, cwd, environment, out, err):
    """Runs in the forked process: what the installed script does."""
    os.environ.update(environment)
    os.chdir(cwd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    become(command, os.open(out, flags), os.open(err, flags))


@pytest.fixture(scope="session")
def run_program(tmp_path_factory):
    """Runs an installed program: run_program("fairseq-ebm prepare", "--help").stdout"""

    def run(program, *arguments, cwd=None, timeout=240, **environment):
        folder = tmp_path_factory.mktemp("output")
        out, err = folder / "out", folder / "err"
        program, *verb = program.split()
        arguments = [*verb, *map(str, arguments)]
        where = str(cwd or folder)
        process = FRESH.Process(
            target=_become, args=([program, *arguments], where, environment, out, err)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            pytest.fail(f"{program} ran for over {timeout} s: {err.read_text()}")
        return subprocess.CompletedProcess(
            [program, *arguments],
            process.exitcode,
            out.read_text(encoding="utf-8"),
            err.read_text(encoding="utf-8"),
        )

    return run


@pytest.fixture(scope="session")
def pydocs(run_program, tmp_path_factory):
    """The corpus pydocs, prepared by the program itself."""
    data = tmp_path_factory.mktemp("prepared") / "py docs"
    done = run_program("fairseq-ebm prepare", "--corpus", "pydocs", "--dest", data)
    assert done.returncode == 0, done.stderr
    return data


TINY_LM = {
    "--arch": "transformer_lm",
    "--decoder-layers": 1,
    "--decoder-embed-dim": 16,
    "--decoder-input-dim": 16,
    "--decoder-output-dim": 16,
    "--decoder-ffn-embed-dim": 32,
    "--decoder-attention-heads": 2,
    "--dropout": 0,
    "--tokens-per-sample": 64,
    "--batch-size": 16,
    "--optimizer": "adam",
    "--lr": 0.02,
    "--max-update": 20,
    "--seed": 1,
    "--num-workers": 0,  # others outlive the program that a test forks
}


def train_lm(run_program, folder, data, *arguments):
    """The checkpoint of a tiny language model: enough to be one, not to be good."""
    flags = [*chain(*TINY_LM.items()), "--cpu", "--disable-validation", *arguments]
    done = run_program("fairseq-train", data, "--save-dir", folder, *flags)
    assert done.returncode == 0, done.stderr
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="session")
def sums(run_program, tmp_path_factory):
    """The corpus addition with two digits, 10 tokens a sum, prepared by the program itself."""
    data = tmp_path_factory.mktemp("prepared") / "sums"
    done = run_program("fairseq-ebm prepare", "--corpus", "addition", "--digits", 2, "--dest", data)
    assert done.returncode == 0, done.stderr
    return data


@pytest.fixture(scope="session")
def sums_lm(run_program, sums, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lm")
    return train_lm(run_program, folder, sums, "--task", "language_modeling")


@pytest.fixture(scope="session")
def sums_energy(run_program, sums, sums_lm, tmp_path_factory):
    """An energy on top of ``sums_lm``, trained a little: all through the programs."""
    folder = tmp_path_factory.mktemp("energy")
    flags = ["--window", 10, "--stride", 10, "--prefix-length", 6, "--subsets", "train,valid"]
    flags += ["--num-negatives", 2, "--max-windows", 256, "--cpu", "--dest", folder / "neg"]
    done = run_program("fairseq-ebm negatives", sums, "--path", sums_lm, *flags)
    assert done.returncode == 0, done.stderr
    flags = ["--user-dir", CHECKOUT / "fairseq_ebm", "--task", "residual_ebm_lm"]
    flags += ["--arch", "energy_bilstm", "--encoder-layers", 1, "--encoder-embed-dim", 16]
    flags += ["--encoder-hidden-size", 16, "--criterion", "conditional_nce", "--batch-size", 64]
    flags += ["--optimizer", "adam", "--lr", 0.02, "--max-update", 12, "--seed", 1, "--cpu"]
    flags += ["--num-workers", 0]
    flags += ["--disable-validation", "--save-dir", folder]
    done = run_program("fairseq-train", folder / "neg", *flags)
    assert done.returncode == 0, done.stderr
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="session")
def sums_masked_lm(run_program, sums, tmp_path_factory):
    """fairseq's own RoBERTa, trained as it is with the task masked_lm."""
    folder = tmp_path_factory.mktemp("masked lm")
    shape = {"layers": 1, "embed-dim": 16, "ffn-embed-dim": 32, "attention-heads": 2}
    flags = ["--task", "masked_lm", "--arch", "roberta_base", "--criterion", "masked_lm"]
    flags += [w for name, value in shape.items() for w in (f"--encoder-{name}", value)]
    flags += ["--max-positions", 64, "--tokens-per-sample", 64, "--batch-size", 16]
    flags += ["--optimizer", "adam", "--lr", 0.02, "--max-update", 5]
    flags += ["--cpu", "--disable-validation", "--save-dir", folder, "--num-workers", 0]
    done = run_program("fairseq-train", sums, *flags)
    assert done.returncode == 0, done.stderr
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="session")
def backward_lm(run_program, sums, tmp_path_factory):
    folder = tmp_path_factory.mktemp("backward lm")
    task = ["--user-dir", CHECKOUT / "fairseq_ebm", "--task", "right_to_left_language_modeling"]
    return train_lm(run_program, folder, sums, *task)
