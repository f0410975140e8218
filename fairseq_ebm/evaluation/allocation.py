"""How many samples each window gets: the same number, or as many as it needs.

With n_w samples of window w, whose log Z then has the standard error σ_w / √n_w, the joint
perplexity of W windows of L predicted tokens has the relative sampling error

    ε = √(Σ_w σ_w² / n_w) / (W L).

For a given ε the fewest samples are those with n_w in proportion to σ_w (Neyman, 1934). σ_w comes
from a pilot, whose samples are then put aside: a size that depended on samples in the estimate
would bend it. Windows are worked on in groups, each with its part of the error, so that a shard
needs to know nothing of the others.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import List

import torch
from torch import Tensor

from ..errors import UserError
from ..models.joint import Joint, Streams
from ..numerics.partition import log_partition

GROUP = 32  # windows that share a part of the error
PILOT = 64  # samples of each window that only tell how many it needs
STEP = 16  # sizes are multiples, so that windows of one size can be drawn together
MARGIN = 1.1  # more than the pilot asks for: it knows σ roughly
SMALLEST, LARGEST = 1e-6, 5.0  # standard errors that are believed of a pilot
SAMPLES_AT_ONCE = 1024  # windows whose pools are small are drawn together


@dataclass(frozen=True)
class Prefixes:
    """Beginnings (W, p) of windows that are ``length`` tokens longer; and their random numbers."""

    joint: Joint
    tokens: Tensor
    length: int
    streams: Streams

    def pools(self, sizes: Sequence[int], purpose: str = "pool") -> List[Tensor]:
        """E of ``sizes[w]`` samples after each: W of (n_w,); those of one size drawn together."""
        pools: List[Tensor] = [torch.empty(0, dtype=torch.float64)] * len(sizes)
        for size in sorted(set(sizes) - {0}):
            members = [w for w, wanted in enumerate(sizes) if wanted == size]
            at_once = max(1, SAMPLES_AT_ONCE // size)
            for start in range(0, len(members), at_once):
                some = members[start : start + at_once]
                for w, pool in zip(some, self._draw(some, size, purpose)):
                    pools[w] = pool
        return pools

    def _draw(self, members: List[int], size: int, purpose: str) -> Tensor:
        numbers = [self.streams.numbers[w] for w in members]
        own = dataclasses.replace(self.streams, numbers=numbers, purpose=purpose)
        energies = self.joint.pool(self.tokens[members], size, self.length, own)
        for row, number in zip(energies, numbers):
            require_finite(row, number)
        return energies


def require_finite(values: Tensor, number: int, what: str = "the energy") -> None:
    if not bool(torch.isfinite(values).all()):
        raise UserError(f"--path: {what} is not finite on window {number}")


def pools_within(prefixes: Prefixes, variance: float, most: int) -> List[Tensor]:
    """Pools whose squared errors of log Z add up to ``variance`` or less, unless that takes more
    than ``most`` samples of a window.

    What the pilot promised and the pools do not hold is made up for by all of them in proportion.
    """
    windows = len(prefixes.tokens)
    spreads = [spread(pool) for pool in prefixes.pools([PILOT] * windows, "pilot")]
    pools, scale = prefixes.pools([0] * windows), MARGIN
    for part in count():
        sizes = allocation(spreads, variance / scale, most)
        more = [max(0, size - len(pool)) for size, pool in zip(sizes, pools)]
        if any(more):
            drawn = prefixes.pools(more, f"pool-part-{part}" if part else "pool")
            pools = [torch.cat(parts) for parts in zip(pools, drawn)]
        errors = [float(log_partition(pool).error) ** 2 for pool in pools]
        out_of_reach = sum(e for e, pool in zip(errors, pools) if len(pool) >= most)
        if sum(errors) <= variance or out_of_reach >= variance:
            break
        scale *= MARGIN * min(sum(errors) / variance, 4.0)
    return pools


def spread(pool: Tensor) -> float:
    """σ: the standard error of log Z from one sample, as the pool (n,) has it."""
    error = min(float(log_partition(pool).error), LARGEST)
    return max(error, SMALLEST) * math.sqrt(len(pool))


def allocation(spreads: Sequence[float], variance: float, most: int) -> List[int]:
    """The fewest n_w with Σ σ_w² / n_w ≤ ``variance``, in steps, and no more than ``most``."""
    total = sum(spreads)
    steps = (math.ceil(min(s * total / variance, most) / STEP) for s in spreads)
    return [min(most, STEP * max(2, step)) for step in steps]
