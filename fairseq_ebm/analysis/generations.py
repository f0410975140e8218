"""What fairseq-generate wrote with --joint-results-path, a line of JSON a prompt."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List

import torch

from ..errors import UserError
from ..numerics.partition import log_partition_bounds


@dataclass(frozen=True)
class Text:
    """One continuation; natural logarithms."""

    tokens: List[int]
    log_lm: float
    log_joint: float


@dataclass(frozen=True)
class Generation:
    """Of one prompt: what really follows, what the language model wrote, and the joint model."""

    real: Text
    base: Text
    joint: Text


def read_generations(path: Path) -> Iterator[Generation]:
    """The language model's text is the first proposal: one of its own samples, unseen by the
    energy. Z is estimated from the whole pool."""
    for number, line in enumerate(_lines(path), start=1):
        try:
            yield _generation(json.loads(line))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UserError(
                f"{path}: line {number}: not a prompt with its pool and what really follows "
                "(fairseq-generate --joint-results-path writes them, untruncated and in one "
                f"chunk): {error!r}"
            ) from None


def _lines(path: Path) -> Iterable[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None


def _generation(record: Dict[str, Any]) -> Generation:
    (pool,) = record["pools"]
    if record["truncated"]:
        raise ValueError("proposals from truncated sampling")
    energies = torch.tensor([float("inf") if e is None else e for e in pool["energies"]])
    log_z = float(log_partition_bounds(energies).jackknife)

    def text(tokens: List[int], log_p: float, energy: float) -> Text:
        return Text(tokens, log_p, log_p - energy - log_z)

    real, draw = record["real"], record["draws"][0]
    if len(real["tokens"]) != len(draw["tokens"]):
        raise ValueError("what really follows has another length than what was generated")
    return Generation(
        text(real["tokens"], real["log_p"], real["energy"]),
        text(pool["tokens"][0], pool["log_p"][0], float(energies[0])),
        text(draw["tokens"], draw["log_p"], draw["energy"]),
    )
