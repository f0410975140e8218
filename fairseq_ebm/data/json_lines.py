"""Texts in JSON lines: an object a line, with a "text"."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import List, Optional

from ..errors import UserError

Bad = Optional[List[str]]  # what is wrong with broken lines; None: they are refused


def read_texts(path: Path, bad: Bad = None) -> Iterator[str]:
    """The "text" of each line's object. Broken lines are refused; or, with ``bad``, passed over,
    and what is wrong with each is appended there."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    text = _text(line, f"{path}: line {number}")
                except UserError as error:
                    if bad is None:
                        raise
                    bad.append(str(error))
                else:
                    yield text
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _text(line: bytes, where: str) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON ({error})") from None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise UserError(f'{where} has no "text"; each line must be an object with one')
    try:
        value["text"].encode("utf-8")
    except UnicodeEncodeError:  # JSON can spell one half of a pair, "\\ud83d"
        raise UserError(f"{where} holds half a character (a lone surrogate)") from None
    return str(value["text"])
