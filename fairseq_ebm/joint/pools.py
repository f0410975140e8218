"""What fairseq-generate wrote with --joint-results-path, a line of JSON a prompt."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional

import torch
from torch import Tensor

from ..errors import UserError
from ..numerics.partition import log_partition


@dataclass(frozen=True)
class Text:
    """One continuation; natural logarithms. ``log_joint`` is None where Z is not known."""

    tokens: List[int]
    log_lm: float
    log_joint: Optional[float]


@dataclass(frozen=True)
class Generation:
    """Of one prompt: what really follows, what the language model wrote, and the joint model.
    ``truncated``: proposals of top-k and the like, which do not tell Z."""

    real: Text
    base: Text
    joint: Text
    truncated: bool


def read_generations(path: Path) -> Iterator[Generation]:
    """The language model's text is the first proposal: one of its own samples, unseen by the
    energy. Z is estimated from the whole pool, if that is not truncated."""
    for number, line in enumerate(_lines(path), start=1):
        try:
            yield _generation(json.loads(line))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UserError(
                f"{path}: line {number}: not a prompt with its pool and what really follows "
                f"(fairseq-generate --joint-results-path writes them, in one chunk): {error!r}"
            ) from None


def _lines(path: Path) -> Iterable[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None


def _log_z(energies: Tensor) -> float:
    """0 without an energy, whose pools may be of a single proposal."""
    return float(log_partition(energies).jackknife) if bool(energies.any()) else 0.0


def _generation(record: Dict[str, Any]) -> Generation:
    (pool,) = record["pools"]
    truncated = bool(record["truncated"])
    values = [float("inf") if e is None else e for e in pool["energies"]]
    energies = torch.tensor(values, dtype=torch.float64)
    log_z = None if truncated else _log_z(energies)

    def text(tokens: List[int], log_p: float, energy: float) -> Text:
        return Text(tokens, log_p, None if log_z is None else log_p - energy - log_z)

    real, draw = record["real"], record["draws"][0]
    if len(real["tokens"]) != len(draw["tokens"]):
        raise ValueError("what really follows has another length than what was generated")
    return Generation(
        text(real["tokens"], real["log_p"], real["energy"]),
        text(pool["tokens"][0], pool["log_p"][0], values[0]),
        text(draw["tokens"], draw["log_p"], draw["energy"]),
        truncated,
    )
