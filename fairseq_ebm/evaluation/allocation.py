"""How many samples each window gets: the same number, or as many as it needs.

With n_w samples of window w, whose log Z then has the standard error σ_w / √n_w, the joint
perplexity of W windows of L predicted tokens has the relative sampling error

    ε = √(Σ_w σ_w² / n_w) / (W L).

For a given ε the fewest samples are those with n_w in proportion to σ_w (Neyman, 1934). σ_w comes
from a pilot, whose samples are then put aside: a size that depended on samples in the estimate
would bend it. Windows are worked on in groups, each with its part of the error, so that a shard
needs to know nothing of the others; what the pilots misjudge is put right by a whole group at a
time, on which no window has much say.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import List

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..joint.model import Joint, Streams
from ..numerics.partition import log_partition

GROUP = 32  # windows that share a part of the error
PILOT = 32  # samples of each window that only tell how many it needs
SCOUTED = 4  # of so many windows of a group one has its pilot first
ALIKE = 0.5  # or less of what pilots differ by is not luck
STEP = 16  # sizes are multiples, so that windows of one size can be drawn together
MARGIN = 1.1  # more than the pilot asks for: it knows σ roughly
HOPELESS = 0.8  # of the variance, in windows that can have no more samples: out of reach
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


def groups(windows: int) -> List[range]:
    """Of ``GROUP`` windows or more: a smaller rest joins the last one."""
    starts = range(0, max(1, windows - GROUP + 1), GROUP)
    ends = [*starts[1:], windows]
    return [range(start, end) for start, end in zip(starts, ends)]


def pools_within(prefixes: Prefixes, variance: float, most: int) -> List[Tensor]:
    """Pools whose squared errors of log Z add up to ``variance`` or less, unless that takes more
    than ``most`` samples of a window.

    What the pilot promised and the pools do not hold is made up for by all of them in proportion:
    of many windows none decides when to stop. Fewer keep to what the pilot said.
    """
    sizes = allocation(spreads_of(prefixes), variance / MARGIN, most)
    pools = prefixes.pools(sizes)
    for part in count(1):
        errors = [float(log_partition(pool).error) ** 2 for pool in pools]
        at_most = sum(e for e, size in zip(errors, sizes) if size >= most)
        allowed = variance - at_most
        if sum(errors) <= variance or allowed < (1 - HOPELESS) * variance or len(pools) < GROUP:
            break
        growth = MARGIN * min((sum(errors) - at_most) / allowed, 4.0)
        wanted = [min(most, STEP * math.ceil(size * growth / STEP)) for size in sizes]
        more = [new - size for new, size in zip(wanted, sizes)]
        drawn = prefixes.pools(more, f"pool-part-{part}")
        pools, sizes = [torch.cat(parts) for parts in zip(pools, drawn)], wanted
    return pools


def spreads_of(prefixes: Prefixes) -> List[float]:
    """σ of each window by a pilot; where those of every fourth window of a group are alike, the
    others need none."""
    windows = len(prefixes.tokens)
    scouts = [PILOT if w % SCOUTED == 0 or windows < GROUP else 0 for w in range(windows)]
    found = {w: spread(p) for w, p in enumerate(prefixes.pools(scouts, "pilot")) if len(p)}
    if len(found) < windows:
        if kept(list(found.values())) < ALIKE:
            return [sum(found.values()) / len(found)] * windows
        rest = prefixes.pools([PILOT - size for size in scouts], "pilot")
        found.update({w: spread(pool) for w, pool in enumerate(rest) if len(pool)})
    return shrunk([found[w] for w in range(windows)])


def spread(pool: Tensor) -> float:
    """σ: the standard error of log Z from one sample, as the pool (n,) has it."""
    error = min(float(log_partition(pool).error), LARGEST)
    return max(error, SMALLEST) * math.sqrt(len(pool))


def shrunk(spreads: Sequence[float]) -> List[float]:
    """Drawn towards their mean, as far as they differ by the luck of the pilots."""
    mean, share = sum(spreads) / len(spreads), kept(spreads)
    return [mean + share * (value - mean) for value in spreads]


def kept(spreads: Sequence[float]) -> float:
    """The share of how pilots differ that is not their luck: one of n samples knows σ to a relative
    variance of about 1 / n."""
    values = np.array(spreads)
    noise, seen = values.mean() ** 2 / PILOT, values.var()
    return max(0.0, float(1 - noise / seen)) if seen > 0 else 0.0


def allocation(spreads: Sequence[float], variance: float, most: int) -> List[int]:
    """The fewest n_w with Σ σ_w² / n_w ≤ ``variance``, in steps, and no more than ``most``.

    Windows that would need more have ``most``; the others share what is left of the variance, or
    all of it, where nothing is left.
    """
    sizes = [0.0] * len(spreads)
    while True:
        free = [w for w, size in enumerate(sizes) if size < most]
        total = sum(spreads[w] for w in free)
        rest = variance - sum(s**2 / most for w, s in enumerate(spreads) if w not in free)
        rest = rest if rest > (1 - HOPELESS) * variance else variance
        for w in free:
            sizes[w] = min(most, spreads[w] * total / rest)
        if all(sizes[w] < most for w in free):
            return [min(most, STEP * max(2, math.ceil(size / STEP))) for size in sizes]
