"""What was generated beside real text: how often does each repeat n-grams, and how likely does each
model find its own? (Figures 2, right, and 3 of the first paper.)"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Union

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..numerics.partition import log_partition
from ..numerics.text import unique_ngram_share
from ..progress import progress
from .options import Analyse
from .pools import Record, read_pools

KIND = "generations"
SIZES = (2, 3, 4)
KINDS = ("real", "base", "joint")


@dataclass(frozen=True)
class JudgedText:
    """One continuation; natural logarithms. ``log_joint`` is None where Z is not known."""

    tokens: List[int]
    log_lm: float
    log_joint: Optional[float]


@dataclass(frozen=True)
class Generation:
    """Of one prompt: what really follows, what the language model wrote, and the joint model.
    ``truncated``: proposals of top-k and the like, which say nothing of Z."""

    real: JudgedText
    base: JudgedText
    joint: JudgedText
    truncated: bool


def analyse(options: Analyse) -> Record:
    records = (each for path in options.pools for each in read_pools(path, with_real=True))
    generations = [generation_of(record) for record in progress(records, "prompts")]
    if not generations:
        raise UserError(f"{options.pools[0]}: there is nothing in it")
    return {
        "kind": KIND,
        "num_prompts": len(generations),
        "unique_ngrams": unique_ngrams(generations),
        "densities": densities(generations),
    }


def generation_of(record: Record) -> Generation:
    """The language model's text is the first proposal: one of its own samples, unseen by the
    energy. Z is estimated from the whole pool, if that is not truncated."""
    if len(record["pools"]) != 1:
        raise UserError(f"prompt {record['id']}: was continued in several chunks; generate in one")
    (pool,), draw, real = record["pools"], record["draws"][0], record["real"]
    if len(real["tokens"]) != len(draw["tokens"]):
        raise UserError(
            f"prompt {record['id']}: what really follows has another length than what was generated"
        )
    energies = [float("inf") if e is None else e for e in pool["energies"]]
    truncated = bool(record["truncated"])
    log_z = None if truncated else _log_z(torch.tensor(energies, dtype=torch.float64))

    def text(tokens: List[int], log_p: float, energy: float) -> JudgedText:
        return JudgedText(tokens, log_p, None if log_z is None else log_p - energy - log_z)

    return Generation(
        text(real["tokens"], real["log_p"], _energy(real)),
        text(pool["tokens"][0], pool["log_p"][0], energies[0]),
        text(draw["tokens"], draw["log_p"], _energy(draw)),
        truncated,
    )


def _energy(text: Record) -> float:
    return float("inf") if text["energy"] is None else float(text["energy"])


def _log_z(energies: Tensor) -> float:
    """0 without an energy, whose pools may be of a single proposal."""
    return float(log_partition(energies).jackknife) if bool(energies.any()) else 0.0


def unique_ngrams(
    generations: Sequence[Generation], sizes: Sequence[int] = SIZES
) -> List[Dict[str, Union[int, float]]]:
    """Share of distinct n-grams among all of each kind of text; the kinds are equally many."""
    texts = {kind: [getattr(each, kind).tokens for each in generations] for kind in KINDS}
    return [{"n": n, **{kind: unique_ngram_share(texts[kind], n) for kind in KINDS}} for n in sizes]


def densities(generations: Sequence[Generation]) -> Optional[Dict[str, Any]]:
    """log P of a model's own samples and of real text, under the language model and under the joint
    model; ``difference`` is that of their means, paired by prompt, with its standard error. A model
    of the data would have 0. None if proposals were truncated."""
    if any(each.truncated for each in generations):
        return None
    log_p = {"base": "log_lm", "joint": "log_joint"}
    return {
        name: _compare(
            np.array([getattr(getattr(each, name), column) for each in generations]),
            np.array([getattr(each.real, column) for each in generations]),
        )
        for name, column in log_p.items()
    }


def _compare(samples: np.ndarray, real: np.ndarray) -> Dict[str, Any]:
    differences = samples - real
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else None
    return {
        "samples": samples.tolist(),
        "real": real.tolist(),
        "difference": float(differences.mean()),
        "standard_error": None if error is None else float(error),
    }
