"""Errors in one line, argument types, and bars that stay silent where nobody looks."""

import argparse
import sys

import pytest

from fairseq_ebm.cli import program
from fairseq_ebm.cli.program import ArgumentParser, progress, run, whole_number
from fairseq_ebm.errors import UserError
from fairseq_ebm.workflow.children import installed_programs


def ended(capsys, monkeypatch, arguments, main):
    """(exit code, standard error) of a program that runs ``main``."""
    monkeypatch.setattr(sys, "argv", ["prog", *arguments])
    parser = ArgumentParser(prog="prog")
    parser.add_argument("--number", type=whole_number(1))
    with pytest.raises(SystemExit) as end:
        run(parser, main)
    return end.value.code, capsys.readouterr().err


def test_wrong_usage_is_one_line(capsys, monkeypatch):
    code, err = ended(capsys, monkeypatch, ["--number", "-3"], lambda a: None)
    assert code == 2 and err.count("\n") == 1
    assert "--number" in err and "'-3' is not a whole number from 1" in err and "--help" in err


OURS = {name: entry for name, entry in installed_programs().items() if "fairseq-ebm" in name}
AS_MODULE = """import runpy, sys
name = sys.argv.pop(1)
sys.modules.pop(name, None)  # imported by the server that forked us
runpy.run_module(name, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("name", OURS)
def test_programs_run_as_modules(run_program, tmp_path, name):
    """As ``python -m`` runs them."""
    file = tmp_path / "as_module.py"
    file.write_text(AS_MODULE)
    done = run_program(str(file), OURS[name].value.split(":")[0], "--nonsense")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"{name}: error: ") and done.stderr.count("\n") == 1


def raising(error):
    def main(arguments):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("file.txt: is wrong"), 2, "prog: error: file.txt: is wrong\n"),
        (OSError(28, "No space left on device", "out"), 2, "prog: error: out: No space left"),
        (KeyboardInterrupt(), 130, "prog: interrupted\n"),
    ],
)
def test_how_programs_end(capsys, monkeypatch, error, code, message):
    ending = ended(capsys, monkeypatch, [], raising(error))
    assert ending[0] == code and message in ending[1] and ending[1].strip("\n").count("\n") == 0


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog"])
    with pytest.raises(ZeroDivisionError):
        run(ArgumentParser(prog="prog"), raising(ZeroDivisionError()))


def test_no_bar_without_a_terminal(capsys):
    assert list(progress(range(3), "label", 3, quiet=False)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_bar_for_who_reads_the_log(capsys, monkeypatch):
    monkeypatch.setattr(program, "_logged", False)
    program.log_progress()
    assert list(progress(range(3), "label", 3, quiet=True)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    assert list(progress(range(3), "label", 3, quiet=False)) == [0, 1, 2]
    assert "label" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "11", "1.5", "many", ""])
def test_whole_number_refuses(text):
    assert whole_number(1, 10)("10") == 10
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 up to 10"):
        whole_number(1, 10)(text)
