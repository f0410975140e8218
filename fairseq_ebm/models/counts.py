"""Sequences that the training text has: how often has it those that end at a symbol?

    E_C(x) = Σ_i Σ_{n ≤ N} w_n(c(x_{i-n+1} … x_{i-1}), c(x_{i-n+1} … x_i))    i in the continuation

c counts in the training text, and w_n is a number for each level of both counts: what an n-gram
model knows, without a probability to each symbol. Real text is in what is counted, and generated
text is not: in training, the real window of a row is taken out of the counts first, or w would
learn nothing but that.
"""

import logging
from collections.abc import Iterator
from typing import Optional, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..negatives.covered import HOLE
from .by_heart import Given, Local
from .ngrams import ngrams

BITS = 24  # 2 to this power are the buckets, of a byte each
MOST = 255
FIRST_OF_LEVEL = (1, 2, 3, 5, 9, 17, 33, 65, 129)  # counts from which the next level begins
LEVELS = len(FIRST_OF_LEVEL) + 1
BLOCK = 1 << 20  # tokens that are counted at a time
FULL = 0.25  # of the buckets

logger = logging.getLogger(__name__)


class CountTable(Local):
    """Hashed counts up to ``MOST``, kept among the weights; the numbers w start at zero."""

    counts: Tensor
    edges: Tensor

    def __init__(self, longest: int, padding: int, given: Given = (0, 0), bits: int = BITS) -> None:
        super().__init__(padding, given)
        self.longest, self.bits = longest, bits
        self.numbers = nn.Embedding(longest * LEVELS * LEVELS, 1)
        nn.init.zeros_(self.numbers.weight)
        self.register_buffer("counts", torch.zeros(1 << bits, dtype=torch.uint8))
        self.register_buffer("edges", torch.tensor(FIRST_OF_LEVEL), persistent=False)

    def count(self, text: np.ndarray) -> None:
        """Adds the sequences of ``text`` (L,), of which none reaches over a ``HOLE``."""
        found = torch.zeros(1 << self.bits, dtype=torch.int64)
        for buckets, whole in _blocks(text, self.longest, self.bits):
            found += torch.bincount(buckets[whole], minlength=len(found))
        total = found.add_(self.counts.cpu()).clamp_(max=MOST)
        self.counts.copy_(total.to(torch.uint8))
        held = float((total > 0).double().mean())
        words = f"--counts: {held:.1%} of 2^{self.bits} buckets hold sequences of the training text"
        if held > FULL:
            lost = "so that as many of those that it lacks seem to be there"
            logger.warning(f"{words}, {lost}; raise --count-bits")
        else:
            logger.info(words)

    def terms(self, windows: Tensor, first: int, real: Optional[Tensor] = None) -> Tensor:
        start = max(0, first - self.longest + 1)  # whatever counts at ``first`` begins no earlier
        levels = self._levels(windows[:, :, start:], real)
        total = torch.zeros_like(windows[:, :, first:], dtype=torch.float32)
        before = torch.zeros_like(levels[0])  # of sequences without their last symbol
        for n, level in enumerate(levels):
            which = ((n * LEVELS + before) * LEVELS + level)[:, :, first - start :]
            total = total + self.numbers(which).squeeze(-1)
            before = F.pad(level, (1, 0))[:, :, :-1]
        return total

    def _levels(self, windows: Tensor, real: Optional[Tensor]) -> Tuple[Tensor, ...]:
        """(B, M, T) -> for n = 1, 2, …, the level of each position's n-gram: (B, M, T)"""
        rows = windows.flatten(0, 1)
        found = ngrams(rows, self.longest, self.padding, self.bits)
        own = None if real is None else ngrams(real, self.longest, self.padding, self.bits)
        levels = []
        for n, buckets in enumerate(found):
            counts = self.counts[buckets].long().view(windows.shape)
            if own is not None:
                # The window's own: those that are whole in it, as others were not counted for it.
                mine = own[n][:, None, None, n:] == buckets.view(windows.shape).unsqueeze(-1)
                left = (counts - mine.sum(dim=-1)).clamp_(min=0)
                counts = torch.where(counts == MOST, counts, left)  # so many that nothing is lost
            levels.append(torch.bucketize(counts, self.edges, right=True))
        return tuple(levels)


def _blocks(text: np.ndarray, longest: int, bits: int) -> Iterator[Tuple[Tensor, Tensor]]:
    """Of each block of a text and each n: the buckets of its n-grams, and which of them count."""
    for start in range(0, len(text), BLOCK):
        before = min(start, longest - 1)
        block = torch.from_numpy(text[start - before : start + BLOCK].astype(np.int64))
        positions = torch.arange(len(block))
        hole = torch.where(block == HOLE, positions, -1).cummax(dim=0).values
        for n, buckets in enumerate(ngrams(block[None], longest, HOLE, bits)):
            yield buckets[0], (positions - n > hole) & (positions >= before)
