"""The program: verbs, one-line errors, how it ends."""

import subprocess
import sys
import time

import pytest

from fairseq_ebm.cli import main as module
from fairseq_ebm.cli.main import main
from fairseq_ebm.errors import Interrupted, UserError
from fairseq_ebm.verbs import VERBS, options_of
from tests.conftest import CHECKOUT


def ended(capsys, monkeypatch, error):
    """(exit code, output, standard error) of a verb whose work raises ``error``."""

    def run(options):
        raise error

    monkeypatch.setattr(module, "run", run)
    with pytest.raises(SystemExit) as end:
        main(["prepare", "--corpus", "addition", "--dest", "x"])
    return end.value.code, *capsys.readouterr()


def test_wrong_usage_is_one_line(run_program):
    for words, message in (
        (["prepare", "--corpus", "addition", "--dest", "x", "--digits", "-3"], "--digits: '-3' is"),
        (["prepare", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["prepare", "--dest", "x"], "give the text: --corpus, or --train"),
        (["prepare"], "the following arguments are required: --dest"),
        (["eval-lm"], "DATA: needed"),
        (["human-eval"], "human-eval export"),
        (["nonsense"], "'nonsense'"),
        (["user-dir", "--nonsense"], "user-dir takes no options"),
    ):
        done = run_program("fairseq-ebm", *words)
        assert done.returncode == 2 and done.stdout == "" and message in done.stderr
        assert done.stderr.startswith("fairseq-ebm") and done.stderr.count("\n") == 1
        assert "--help" in done.stderr


def test_the_map_and_the_help_of_every_verb(run_program):
    overview = run_program("fairseq-ebm --help").stdout
    assert run_program("fairseq-ebm").stdout == overview
    for name in VERBS:
        assert f"  {name} " in overview and options_of(name).makes in overview
        done = run_program(f"fairseq-ebm {name} --help")
        assert done.returncode == 0 and f"usage: fairseq-ebm {name} " in done.stdout
    assert "human-eval qualify" in run_program("fairseq-ebm human-eval --help").stdout
    assert run_program("fairseq-ebm user-dir").stdout == f"{CHECKOUT / 'fairseq_ebm'}\n"
    assert run_program("fairseq-ebm --version").stdout.startswith("fairseq-ebm 0.")


def seconds_of(*command):
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    return done, time.perf_counter() - began


@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 0), (["eval-lm", "--nonsense"], 2), (["run", "--nonsense"], 2)]
)
def test_help_and_wrong_flags_take_a_moment(words, code):
    """Neither fairseq nor torch, which take seconds, is imported for them."""
    done, _ = seconds_of(sys.executable, "-X", "importtime", "-m", "fairseq_ebm", *words)
    assert done.returncode == code
    assert not {"torch", "fairseq", "numpy"} & {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line
    }
    nothing = min(seconds_of(sys.executable, "-c", "import argparse")[1] for _ in range(3))
    ours = min(seconds_of(sys.executable, "-m", "fairseq_ebm", *words)[1] for _ in range(3))
    assert ours < nothing + 0.4


def test_python_dash_m_is_the_program():
    done, _ = seconds_of(sys.executable, "-m", "fairseq_ebm", "--version")
    assert done.returncode == 0 and done.stdout.startswith("fairseq-ebm ")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("file.txt: is wrong"), 2, "fairseq-ebm prepare: error: file.txt: is wrong\n"),
        (
            OSError(28, "No space left on device", "out"),
            2,
            "fairseq-ebm prepare: error: out: No space left",
        ),
        (KeyboardInterrupt(), 130, "fairseq-ebm prepare: interrupted\n"),
    ],
)
def test_how_programs_end(capsys, monkeypatch, error, code, message):
    ending = ended(capsys, monkeypatch, error)
    assert ending[0] == code and message in ending[2] and ending[2].strip("\n").count("\n") == 0


def test_an_interrupt_shows_what_is_done(capsys, monkeypatch):
    record = {"kind": "report", "files": ["half.html"]}
    code, out, err = ended(capsys, monkeypatch, Interrupted("after 3 of 9", record))
    assert (
        code == 130 and out == "written: half.html\n" and "fairseq-ebm prepare: after 3 of 9" in err
    )


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    def run(options):
        raise ZeroDivisionError

    monkeypatch.setattr(module, "run", run)
    with pytest.raises(ZeroDivisionError):
        main(["prepare", "--corpus", "addition", "--dest", "x"])
