"""What all programs share: one-line errors with exit code 2, Ctrl-C, progress bars."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Callable, NoReturn, Optional, TypeVar

from tqdm import tqdm

from ..errors import OptionError, UserError

T = TypeVar("T")
LOGGED_EVERY = 10.0  # seconds
# What is called otherwise in Python.
FLAGS = {"top_k": "--sampling-topk", "top_p": "--sampling-topp"}
_logged = False


class ArgumentParser(argparse.ArgumentParser):
    """Reports a wrong command line in one line, and leaves the long text to --help."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **kwargs
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def run(parser: ArgumentParser, main: Callable[[argparse.Namespace], None]) -> None:
    """Parses the command line and runs ``main``; ends the process with what it came to."""
    arguments = parser.parse_args()
    logging.getLogger("fairseq").setLevel(logging.WARNING)  # we tell what happens ourselves
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))  # tidies up on its way out
    try:
        main(arguments)
        sys.stdout.flush()
    except UserError as error:
        told = error.in_flags(FLAGS) if isinstance(error, OptionError) else error
        parser.exit(2, f"{parser.prog}: error: {told}\n")
    except BrokenPipeError:  # the reader of our output has left, as in "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        parser.exit(2, f"{parser.prog}: error: {where}{error.strerror or error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"\n{parser.prog}: interrupted\n")


def log_progress() -> None:
    """For who reads the log of this process while it works."""
    global _logged  # noqa: PLW0603 (as standard error, a matter of the whole process)
    _logged = True


def progress(
    items: Iterable[T], label: str, total: Optional[int], quiet: bool, done: int = 0
) -> Iterable[T]:
    """A bar on standard error, if that is a terminal or a log; never if the user wants quiet."""
    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        desc=label,
        total=total,
        initial=done,
        disable=quiet or not (terminal or _logged),
        mininterval=0.1 if terminal else LOGGED_EVERY,
        leave=False,
        dynamic_ncols=True,
        unit_scale=True,
        unit="",
    )


def whole_number(least: int, most: int = 2**63 - 1) -> Callable[[str], int]:
    """An argument type; argparse names the flag in front of what it raises."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            limit = f" up to {most}" if most < 2**63 - 1 else ""
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least}{limit}")
        return value

    return parse


def share(least: float = 0.0) -> Callable[[str], float]:
    """An argument type: "0.1%", "0.001" or "2/3", from ``least`` to 1."""

    def parse(text: str) -> float:
        try:
            value = float(Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text))
        except (ValueError, ZeroDivisionError):
            value = -1.0
        if not least <= value <= 1:
            percent = f"; {text}% may be meant" if 1 < value < 100 else ""
            raise argparse.ArgumentTypeError(
                f"'{text}' is not a share from {least:g} to 1{percent}"
            )
        return value

    return parse
