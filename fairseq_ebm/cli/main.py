"""The program ``fairseq-ebm``: a verb, its options, its record."""

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import List, NoReturn, Optional, Tuple

from ..errors import Interrupted, UserError
from ..options import Options, Record
from ..verbs import UNWRITTEN, VERBS, options_of, run
from ..version import __version__
from .parser import fail, in_flags, parse

PROGRAM = "fairseq-ebm"
ABOUT = "Residual energy-based models of text: P(x) = P_LM(x) exp(-E(x)) / Z."
TRAINING = f"""\
fairseq's own programs do the rest, with --user-dir "$(fairseq-ebm user-dir)":
  fairseq-train       tokens -> a language model; negatives -> an energy
  fairseq-generate    a language model, an energy -> text of both together

{PROGRAM} VERB --help says more."""


def main(words: Optional[Sequence[str]] = None) -> None:
    words = list(sys.argv[1:] if words is None else words)
    with ending(PROGRAM):
        _main(words)


def _main(words: List[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(overview(), flush=True)
    elif words[0] == "--version":
        print(f"{PROGRAM} {__version__}")
    elif words[0] == "user-dir":
        if words[1:]:
            fail(PROGRAM, f"user-dir takes no options, so no {words[1]} (see {PROGRAM} --help)")
        print(Path(__file__).resolve().parents[1])
    else:
        verb, rest = verb_of(words)
        program = f"{PROGRAM} {verb}"
        options = parse(program, options_of(verb), rest)
        with ending(program, options):
            show(options, run(options))


def overview() -> str:
    """The way from text to a report."""
    lines = [f"  {verb:<20}{options_of(verb).makes}" for verb in VERBS]
    lines += [f"  {'user-dir':<20}where this package is, for fairseq's --user-dir"]
    usage = f"usage: {PROGRAM} VERB ... | --help | --version"
    return "\n\n".join([usage, ABOUT, "\n".join(lines), TRAINING])


def verb_of(words: List[str]) -> Tuple[str, List[str]]:
    """The verb, of one word or two, and what follows it."""
    for length in (2, 1):
        verb = " ".join(words[:length])
        if verb in VERBS:
            return verb, words[length:]
    parts = [verb for verb in VERBS if verb.startswith(f"{words[0]} ")]
    if parts and words[1:2] in (["-h"], ["--help"]):
        print("\n".join(f"{PROGRAM} {verb}: {options_of(verb).makes}" for verb in parts))
        sys.exit()
    asked = " ".join(words[:2] if parts else words[:1])
    verbs = ", ".join(parts or [*VERBS, "user-dir"])
    fail(PROGRAM, f"'{asked}' is none of {verbs} (see {PROGRAM} --help)")


@contextmanager
def ending(program: str, options: Optional[Options] = None) -> Iterator[None]:
    """Ends the process with what the work within came to, if that is an error or an interrupt."""
    logging.getLogger("fairseq").setLevel(logging.WARNING)  # we say what happens ourselves
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # tidies up on its way out
    try:
        yield
    except UserError as error:
        fail(program, str(in_flags(error, type(options) if options else Options)))
    except BrokenPipeError:  # the reader of our output has left, as in "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(program, f"{where}{error.strerror or error}")
    except Interrupted as interrupt:
        show(options, interrupt.record)
        interrupted(program, str(interrupt))
    except KeyboardInterrupt as interrupt:
        interrupted(program, str(interrupt) or "interrupted")


def show(options: Optional[Options], record: Record) -> None:
    if not getattr(options, "quiet", False):
        from ..reports.terminal import shown  # noqa: PLC0415 (takes a second)

        print(shown(record, None if record["kind"] in UNWRITTEN else options), flush=True)


def interrupted(program: str, message: str) -> NoReturn:
    sys.stderr.write(f"\n{program}: {message}\n")
    sys.exit(130)
