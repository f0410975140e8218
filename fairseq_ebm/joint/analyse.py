"""What was generated beside real text: how often does each repeat n-grams, and how likely does each
model find its own? (Figures 2, right, and 3 of the first paper.)"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Dict, List, Optional

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..numerics.intervals import Z95
from ..numerics.partition import log_partition
from ..numerics.text import shares_without_each, unique_ngram_share
from ..options import Record
from ..progress import progress
from ..records import finite
from .options import Analyse
from .pools import read_pools

KIND = "generations"
SIZES = (2, 3, 4)
KINDS = ("real", "base", "joint")
COLLECTIONS = 64  # of a text a prompt, whose shares of distinct n-grams are averaged


@dataclass(frozen=True)
class JudgedText:
    """One continuation; natural logarithms. ``log_joint`` is None where Z is not known."""

    tokens: List[int]
    log_lm: float
    log_joint: Optional[float]


@dataclass(frozen=True)
class Generation:
    """Of one prompt: what really follows, what the language model wrote, and the joint model.
    ``truncated``: proposals of top-k and the like, which say nothing of Z. ``expected``: mean log P
    of each model's text under itself, by the whole pool: chance has less part in it. ``more``: of
    each model several texts, for the same reason."""

    real: JudgedText
    base: JudgedText
    joint: JudgedText
    truncated: bool
    expected: Mapping[str, float] = field(default_factory=dict)
    more: Mapping[str, List[List[int]]] = field(default_factory=dict)

    def texts(self, kind: str) -> List[List[int]]:
        return self.more.get(kind) or [getattr(self, kind).tokens]


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
        "nearer": nearer(generations),
    }


def generation_of(record: Record) -> Generation:
    """The language model's text is the first proposal: one of its own samples, unseen by the
    energy. Z is estimated from the whole pool, if that is not truncated."""
    if len(record["pools"]) != 1:
        raise UserError(f"prompt {record['id']}: was continued in several chunks; generate in one")
    (pool,), draw, real = record["pools"], record["draws"][0], record["real"]
    if len(real["tokens"]) != len(draw["tokens"]):
        raise UserError(f"prompt {record['id']}: what really follows has another length than draws")
    energies = torch.tensor([_energy(each) for each in pool["energies"]], dtype=torch.float64)
    truncated = bool(record["truncated"])
    log_z = None if truncated else _log_z(energies)

    def judged(text: Record) -> JudgedText:
        log_p, energy = text["log_p"], _energy(text["energy"])
        return JudgedText(text["tokens"], log_p, None if log_z is None else log_p - energy - log_z)

    first = {"tokens": pool["tokens"][0], "log_p": pool["log_p"][0], "energy": pool["energies"][0]}
    expected = {} if log_z is None else _expected(pool["log_p"], energies, log_z)
    more = _several(pool["tokens"], energies)
    return Generation(judged(real), judged(first), judged(draw), truncated, expected, more)


def _several(proposals: Sequence[List[int]], energies: Tensor) -> Dict[str, List[List[int]]]:
    """Texts of both models: the first proposals, and as many that stand at even distances in the
    joint model's distribution over the pool."""
    count = min(COLLECTIONS, len(proposals))
    ends = torch.softmax(-energies, dim=0).cumsum(dim=0)
    places = torch.searchsorted(ends, (torch.arange(count).double() + 0.5) / count * ends[-1])
    joint = [proposals[i] for i in places.tolist()]
    return {"base": list(proposals[:count]), "joint": joint}


def _expected(log_p: Sequence[float], energies: Tensor, log_z: float) -> Dict[str, float]:
    """Mean log P of text of the language model under itself, and likewise of the joint model."""
    log_lm = torch.tensor(log_p, dtype=torch.float64)
    shares = torch.softmax(-energies, dim=0)
    log_joint = (log_lm - energies - log_z).masked_fill(shares == 0, 0.0)
    return {"base": float(log_lm.mean()), "joint": float((shares * log_joint).sum())}


def _energy(recorded: Optional[float]) -> float:
    return float("inf") if recorded is None else float(recorded)


def _log_z(energies: Tensor) -> float:
    """0 without an energy, whose pools may be of a single proposal."""
    return float(log_partition(energies).jackknife) if bool(energies.any()) else 0.0


def unique_ngrams(prompts: Sequence[Generation], sizes: Sequence[int] = SIZES) -> List[Record]:
    """Share of distinct n-grams among all of a text a prompt: real ones, and each model's, of which
    there are several such collections: the mean of their shares."""
    texts = {kind: collections(prompts, kind) for kind in KINDS}
    return [{"n": n, **{k: float(_mean_share(texts[k], n)) for k in KINDS}} for n in sizes]


def collections(prompts: Sequence[Generation], kind: str) -> List[List[List[int]]]:
    """Equally many, each of a text a prompt."""
    texts = [each.texts(kind) for each in prompts]
    return [[each[i] for each in texts] for i in range(min(map(len, texts)))]


def _mean_share(of: Sequence[Sequence[List[int]]], n: int) -> np.ndarray:
    return np.asarray(np.mean([unique_ngram_share(texts, n) for texts in of]))


def _mean_share_without_each(of: Sequence[Sequence[List[int]]], n: int) -> np.ndarray:
    return np.mean([shares_without_each(texts, n) for texts in of], axis=0)


def densities(generations: Sequence[Generation]) -> Optional[Record]:
    """log P of a model's own samples and of real text, under the language model and under the joint
    model; ``difference`` is that of their means, paired by prompt, with its standard error. A model
    of the data would have 0. None if proposals were truncated.

    ``samples`` are one text a prompt, for a picture; the means of own text are of whole pools."""
    if any(each.truncated for each in generations):
        return None

    def log_p(text: str, model: str) -> np.ndarray:
        return np.array([getattr(getattr(each, text), f"log_{model}") for each in generations])

    models = {"base": "lm", "joint": "joint"}
    own = {name: np.array([each.expected[name] for each in generations]) for name in models}
    return {
        name: _compare(log_p(name, m), own[name], log_p("real", m)) for name, m in models.items()
    }


def nearer(generations: Sequence[Generation], sizes: Sequence[int] = SIZES) -> List[Record]:
    """How much nearer to real text the joint model's is than the base's, with 95% intervals over
    prompts: of each kind of n-grams the share of distinct ones, of log P the difference of means.
    ``base`` and ``joint`` are distances from real text, ``gap`` is the first less the second."""
    texts = {kind: collections(generations, kind) for kind in KINDS}
    rows = []
    for n in sizes:
        share = {kind: _mean_share(texts[kind], n) for kind in KINDS}
        without = {kind: _mean_share_without_each(texts[kind], n) for kind in KINDS}
        rows.append({"of": f"{n}-grams", **_gap(share, without)})
    found = densities(generations)
    if found is not None:
        difference, without = {"real": np.array(0.0)}, {"real": np.array(0.0)}
        for model, values in found.items():
            own = np.array([each.expected[model] for each in generations])
            each = own - np.array(values["real"])
            difference[model] = each.mean()
            without[model] = (each.sum() - each) / max(1, len(each) - 1)
        rows.append({"of": "log P", **_gap(difference, without)})
    return rows


def _gap(values: Mapping[str, np.ndarray], without: Mapping[str, np.ndarray]) -> Record:
    """``values`` of real text, the base's and the joint model's; and ``without`` each prompt (N,):
    a jackknife, since a bootstrap would repeat prompts, and so n-grams."""

    def distances(of: Mapping[str, np.ndarray]) -> List[np.ndarray]:
        return [np.abs(of[model] - of["real"]) for model in ("base", "joint")]

    base, joint = distances(values)
    each = np.subtract(*distances(without))
    error = math.sqrt((len(each) - 1) * each.var()) if len(each) > 1 else math.nan
    gap = float(base - joint)
    ends = [gap - Z95 * error, gap + Z95 * error]
    known = all(map(math.isfinite, ends))
    named = {"base": finite(float(base)), "joint": finite(float(joint)), "gap": finite(gap)}
    return {**named, "gap_ci95": ends if known else None}


def _compare(samples: np.ndarray, own: np.ndarray, real: np.ndarray) -> Record:
    differences = own - real
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else None
    return {
        "samples": samples.tolist(),
        "real": real.tolist(),
        "difference": float(differences.mean()),
        "standard_error": None if error is None else float(error),
    }
