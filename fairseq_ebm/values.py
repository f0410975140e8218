"""How values of options are read and checked: a word of the command line, or a value from Python.

What is wrong is a ``ValueError`` that says what was given and what it should be.
"""

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Tuple

Read = Callable[[Any], Any]


def read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither True nor False")
    return value


def read_text(value: Any) -> str:
    if not isinstance(value, (str, Path)):
        raise ValueError(f"{value!r} is no text")
    return str(value)


def read_path(value: Any) -> Path:
    if not read_text(value):
        raise ValueError("an empty path")
    return Path(value)


def read_number(value: Any) -> float:
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (ValueError, TypeError):
        number = float("nan")
    if not math.isfinite(number):
        raise ValueError(f"'{value}' is not a number")
    return number


def whole_from(least: int, most: int = 2**63 - 1) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, str) else operator.index(value)
            number = least - 1 if isinstance(value, bool) else number
        except (ValueError, TypeError):
            number = least - 1
        if not least <= number <= most:
            limit = f" up to {most}" if most < 2**63 - 1 else ""
            raise ValueError(f"'{value}' is not a whole number from {least}{limit}")
        return number

    return read


def wholes_from(least: int) -> Callable[[Any], Tuple[int, ...]]:
    """Several, with commas in text."""

    def read(value: Any) -> Tuple[int, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        try:
            return tuple(map(whole_from(least), [parts] if isinstance(parts, int) else parts))
        except ValueError:
            problem = f"'{value}' is not whole numbers from {least} with commas between them"
            raise ValueError(problem) from None

    return read


def share_from(least: float) -> Callable[[Any], float]:
    """From ``least`` to 1; of text, "0.1%", "0.001" or "2/3"."""

    def read(value: Any) -> float:
        try:
            percent = isinstance(value, str) and value.endswith("%")
            found = float(Fraction(str(value)[:-1]) / 100 if percent else Fraction(value))
        except (ValueError, TypeError, ZeroDivisionError):
            found = -1.0
        if not least <= found <= 1:
            meant = f"; {value}% may be meant" if 1 < found < 100 else ""
            raise ValueError(f"'{value}' is not a share from {least:g} to 1{meant}")
        return found

    return read


def one_of(names: Tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"'{value}' is none of {', '.join(names)}")
        return str(value)

    return read
