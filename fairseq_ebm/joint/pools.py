"""Prompts with their draws and pools on disk, a line of JSON a prompt: what ``fairseq-generate
--joint-results-path`` writes, and the one place that reads it."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

from ..errors import UserError
from ..options import Record
from ..records import finite, require_version
from .continuation import ContinuedPrompt

KIND, FORMAT_VERSION = "pools", 1
PARTS = {
    "draws": ("text", "tokens", "energy", "log_p"),
    "pools": ("tokens", "energies", "log_p"),
    "real": ("text", "tokens", "energy", "log_p"),
}
FIELDS = ("id", "prompt", "base_text", "truncated")

Decode = Callable[[Sequence[int]], str]


def record_of(
    number: int,
    prompt: str,
    continued: ContinuedPrompt,
    truncated: bool,
    decode: Decode,
    real: Optional[Record] = None,
) -> Record:
    """``decode``: the text of tokens that follow the prompt; ``base_text``: the first proposal, one
    of the language model's own samples; ``truncated``: proposals of top-k and the like, which say
    nothing of Z; ``real``: from ``real_of``."""
    record: Record = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "id": number,
        "prompt": prompt,
        "base_text": decode(continued.pools[0].tokens[0].tolist()),
        "truncated": truncated,
        "draws": [
            {"text": decode(tokens), **vars(draw), "tokens": tokens}
            for draw in continued.draws
            for tokens in [draw.tokens.tolist()]
        ],
        "pools": [
            {
                "tokens": pool.tokens.tolist(),
                "energies": list(map(finite, pool.energies.tolist())),
                "log_p": pool.log_p.tolist(),
                **figures,
            }
            for pool, figures in zip(continued.pools, continued.figures)
        ],
        "seconds": dict(zip(("proposing", "scoring", "choosing"), continued.seconds)),
    }
    return record if real is None else {**record, "real": real}


def real_of(tokens: Sequence[int], energy: float, log_p: float, decode: Decode) -> Record:
    """What really follows a prompt, judged as proposals are."""
    text = decode(tokens)
    return {"text": text, "tokens": list(tokens), "energy": finite(energy), "log_p": log_p}


def read_pools(path: Path, with_real: bool = False) -> Iterator[Record]:
    """``with_real``: of windows of a text, whose real continuations are there as well."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield _checked(line, f"{path}: line {number}", with_real)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _checked(line: bytes, where: str, with_real: bool) -> Record:
    record = _parsed(line)
    if record is not None:
        require_version(record, FORMAT_VERSION, where, "generate again")
        names = ["draws", "pools"] + ["real"] * with_real
        if all(name in record for name in FIELDS) and all(_has(record, name) for name in names):
            return record
    what = "a prompt, its pools and what really follows" if with_real else "a prompt, its pools"
    raise UserError(f"{where}: not {what}, as fairseq-generate --joint-results-path writes them")


def _has(record: Record, name: str) -> bool:
    """One, or several, of a part with all that is read of it."""
    parts: Any = [record.get(name)] if name == "real" else record.get(name)
    is_list = isinstance(parts, list) and bool(parts)
    return is_list and all(isinstance(p, dict) and p.keys() >= {*PARTS[name]} for p in parts)


def _parsed(line: bytes) -> Optional[Record]:
    """None if it is something else."""
    try:
        record = json.loads(line)
        return dict(record) if record["kind"] == KIND else None
    except (ValueError, KeyError, TypeError):
        return None


def is_pools(path: Path) -> bool:
    with path.open("rb") as file:
        return _parsed(file.readline()) is not None
