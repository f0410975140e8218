"""Scores of the real and generated windows of a store."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Dict, List, NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor

from ..data.streams import philox
from ..errors import UserError
from ..negatives.arrays import BLOCK
from ..negatives.store import NegativesSubset
from .metrics import Scores
from .scorers import Scorer


class Batch(NamedTuple):
    """``texts`` (B, 1 + K, T), the real one first; those of a row share ``before`` tokens at the
    beginning and ``after`` at the end."""

    members: Sequence[int]
    texts: Tensor
    before: int
    after: int


def chosen(subset: NegativesSubset, max_windows: Optional[int], seed: int) -> List[int]:
    """All windows, or ``max_windows`` at random."""
    if max_windows is None or max_windows >= len(subset):
        return list(range(len(subset)))
    return sorted(philox(seed).choice(len(subset), max_windows, replace=False).tolist())


def batches(subset: NegativesSubset, members: Sequence[int]) -> Iterator[Batch]:
    """Windows that are stored together, batched by the length of their context."""
    for start in range(0, len(members), BLOCK):
        block = list(members[start : start + BLOCK])
        examples = [subset[i] for i in block]
        lengths = np.array([example.prefix_length for example in examples])
        for length in np.unique(lengths):
            alike = np.flatnonzero(lengths == length)
            rows = [np.vstack([examples[i].real[None], examples[i].negatives]) for i in alike]
            texts, shared = torch.from_numpy(np.stack(rows)), (int(length), 0)
            before, after = shared[::-1] if subset.manifest.right_to_left else shared
            yield Batch([block[i] for i in alike], texts, before, after)


def score_windows(windows: Iterable[Batch], scorers: Sequence[Scorer]) -> Dict[str, Scores]:
    """By name of score, in the order of the windows."""
    members: List[int] = []
    shared: List[int] = []
    parts: Dict[str, List[Tensor]] = {}
    for batch in windows:
        members += batch.members
        shared += [batch.before + batch.after] * len(batch.members)
        for scorer in scorers:
            for name, values in scorer(batch.texts, batch.before, batch.after).items():
                parts.setdefault(name, []).append(values)
    order = np.argsort(members)
    scores = {}
    for name, batches in parts.items():
        ordered = torch.cat(batches).numpy()[order]
        require_finite(name, ordered, np.array(members)[order])
        scores[name] = Scores(ordered[:, 0], ordered[:, 1:], np.array(shared)[order])
    return scores


def require_finite(name: str, scores: np.ndarray, members: np.ndarray) -> None:
    bad = ~np.isfinite(scores).all(axis=1)
    if bad.any():
        raise UserError(f"{name}: not finite for window {members[bad][0]} ({bad.sum()} windows)")
