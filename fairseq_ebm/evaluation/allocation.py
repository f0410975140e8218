"""How many samples each window gets: a fixed number, or as many as it needs.

With n_w samples of window w, whose log Z then has the standard error σ_w / √n_w, the joint
perplexity of W windows of L predicted tokens has the relative sampling error

    ε = √(Σ_w σ_w² / n_w) / (W L).

For a given ε the total is smallest with n_w in proportion to σ_w (Neyman, 1934). σ_w comes from a
pilot, whose samples are then set aside: a size that depended on samples in the estimate would bias
it. Windows are processed in groups, each with its part of the error, so that a shard needs to know
nothing of the others; what the pilots misjudge is corrected for a whole group at a time, over which
no single window has much influence.
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
PILOT = 32  # samples of a window used only to decide how many it needs
SCOUTED = 4  # in a group, one in this many windows has its pilot before the others
ALIKE = 0.5  # pilots are alike if a smaller share of their differences is not luck
STEP = 16  # sizes are multiples of it, so that windows of one size can be drawn together
MARGIN = 1.1  # times what the pilot asks for, as it knows σ only roughly
HOPELESS = 0.8  # of the variance in windows that can have no more samples: out of reach
SMALLEST, LARGEST = 1e-6, 5.0  # a pilot's standard error is clamped to these
SAMPLES_AT_ONCE = 1024  # windows with small pools are drawn together


@dataclass(frozen=True)
class PrefixPools:
    """Beginnings (W, p) of windows that are ``length`` tokens longer, and their random numbers."""

    joint: Joint
    tokens: Tensor
    length: int
    streams: Streams

    def pools(self, sizes: Sequence[int], purpose: str = "pool") -> List[Tensor]:
        """E of ``sizes[w]`` samples after each: W of (n_w,); equal sizes are drawn together."""
        pools: List[Tensor] = [torch.empty(0, dtype=torch.float64)] * len(sizes)
        for size in sorted(set(sizes) - {0}):
            members = [w for w, wanted in enumerate(sizes) if wanted == size]
            at_once = max(1, SAMPLES_AT_ONCE // size)
            for start in range(0, len(members), at_once):
                part = members[start : start + at_once]
                for w, pool in zip(part, self._draw(part, size, purpose)):
                    pools[w] = pool
        return pools

    def _draw(self, members: List[int], size: int, purpose: str) -> Tensor:
        numbers = [self.streams.numbers[w] for w in members]
        streams = dataclasses.replace(self.streams, numbers=numbers, purpose=purpose)
        energies = self.joint.pool(self.tokens[members], size, self.length, streams)
        for pool, number in zip(energies, numbers):
            require_finite(pool, number)
        return energies


def require_finite(values: Tensor, number: int, what: str = "the energy") -> None:
    if not bool(torch.isfinite(values).all()):
        raise UserError(f"--path: {what} is not finite on window {number}")


def groups(windows: int) -> List[range]:
    """Groups of ``GROUP`` windows; a smaller remainder joins the last one."""
    starts = range(0, max(1, windows - GROUP + 1), GROUP)
    ends = [*starts[1:], windows]
    return [range(start, end) for start, end in zip(starts, ends)]


def pools_within(prefixes: PrefixPools, variance: float, most: int) -> List[Tensor]:
    """Pools whose squared errors of log Z add up to ``variance`` or less, unless that takes more
    than ``most`` samples of a window.

    Where pools miss what the pilot promised, all of them grow in proportion: among many windows
    none decides alone when to stop. Fewer than ``GROUP`` windows keep to the pilot's sizes.
    """
    sizes = allocation(spreads_of(prefixes), variance / MARGIN, most)
    pools = prefixes.pools(sizes)
    for part in count(1):
        errors = [float(log_partition(pool).error) ** 2 for pool in pools]
        exhausted = sum(e for e, size in zip(errors, sizes) if size >= most)
        allowed = variance - exhausted
        if sum(errors) <= variance or allowed < (1 - HOPELESS) * variance or len(pools) < GROUP:
            break
        growth = MARGIN * min((sum(errors) - exhausted) / allowed, 4.0)
        wanted = [min(most, STEP * math.ceil(size * growth / STEP)) for size in sizes]
        more = [new - size for new, size in zip(wanted, sizes)]
        drawn = prefixes.pools(more, f"pool-part-{part}")
        pools, sizes = [torch.cat(parts) for parts in zip(pools, drawn)], wanted
    return pools


def spreads_of(prefixes: PrefixPools) -> List[float]:
    """σ of each window from a pilot; if every fourth window of a group has about the same, the
    others need no pilot."""
    windows = len(prefixes.tokens)
    scouts = [PILOT if w % SCOUTED == 0 or windows < GROUP else 0 for w in range(windows)]
    spreads = {w: spread(p) for w, p in enumerate(prefixes.pools(scouts, "pilot")) if len(p)}
    if len(spreads) < windows:
        if kept(list(spreads.values())) < ALIKE:
            return [sum(spreads.values()) / len(spreads)] * windows
        others = prefixes.pools([PILOT - size for size in scouts], "pilot")
        spreads.update({w: spread(pool) for w, pool in enumerate(others) if len(pool)})
    return shrunk([spreads[w] for w in range(windows)])


def spread(pool: Tensor) -> float:
    """σ: the standard error of log Z from one sample, estimated from the pool (n,)."""
    error = min(float(log_partition(pool).error), LARGEST)
    return max(error, SMALLEST) * math.sqrt(len(pool))


def shrunk(spreads: Sequence[float]) -> List[float]:
    """Shrunk towards their mean, as far as the pilots' luck explains their differences."""
    mean, share = sum(spreads) / len(spreads), kept(spreads)
    return [mean + share * (value - mean) for value in spreads]


def kept(spreads: Sequence[float]) -> float:
    """The share of the pilots' variance that is not luck: from n samples, σ has a relative variance
    of about 1 / n."""
    values = np.array(spreads)
    noise, variance = values.mean() ** 2 / PILOT, values.var()
    return max(0.0, float(1 - noise / variance)) if variance > 0 else 0.0


def allocation(spreads: Sequence[float], variance: float, most: int) -> List[int]:
    """The fewest n_w with Σ σ_w² / n_w ≤ ``variance``, in multiples of ``STEP``, at most ``most``.

    Windows that would need more get ``most``; the others share what is left of the variance, or
    all of it if too little is left.
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
