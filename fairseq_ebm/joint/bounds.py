"""How likely one continuation of one prefix is, with what sampling leaves open."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional, Tuple

import torch
from torch import Tensor

from ..errors import UserError
from ..numerics import intervals
from ..numerics.partition import log_partition_bounds
from .model import Joint, Streams, number_of


@dataclass(frozen=True)
class TextBounds:
    """Of one continuation: log P_LM, its energy, log Z of the prefix, and what follows.

    ``log_z_error``: the standard error of ``log_z`` by sampling."""

    num_tokens: int
    log_p_lm: float
    energy: float
    log_z_lower: float
    log_z_upper: float
    log_z: float
    log_z_error: float
    ess: float
    pareto_k: float

    @property
    def base_ppl(self) -> float:
        return math.exp(-self.log_p_lm / self.num_tokens)

    @property
    def joint_ppl_lower(self) -> float:
        return self._ppl(self.log_z_lower)

    @property
    def joint_ppl_upper(self) -> float:
        return self._ppl(self.log_z_upper)

    @property
    def joint_ppl(self) -> float:
        return self._ppl(self.log_z)

    @property
    def joint_ppl_sampling_ci95(self) -> Optional[Tuple[float, float]]:
        """Where ``joint_ppl`` would be with other samples."""
        return intervals.interval(self.joint_ppl, self.log_z_error / self.num_tokens)

    def _ppl(self, log_z: float) -> float:
        return math.exp(-(self.log_p_lm - self.energy - log_z) / self.num_tokens)


def bounds_so_far(
    joint: Joint, before: Tensor, after: Tensor, samples: int, seed: int
) -> Iterator[TextBounds]:
    """Of a continuation (L,) of a prefix (p,), by more and more samples: the last is by all."""
    if not len(after):
        raise UserError("continuation: there is nothing in it")
    text = torch.cat([before, after])
    given = joint.of_prefix(before[None])
    log_p = float(joint.token_log_probs(text[None], len(before)).sum())
    energy = float(joint.energies(text.view(1, 1, -1), 0) - given)
    pool = torch.empty(1, 0, dtype=torch.float64)
    streams = Streams(seed, "python", [number_of(before)])
    for part in joint.pool_parts(before[None], samples, len(after), streams):
        pool = torch.cat([pool, part - given], dim=1)
        if not bool(torch.isfinite(pool).all()):
            raise UserError("the energy is not finite on samples of this prefix")
        if pool.size(1) >= 2:
            yield TextBounds(len(after), log_p, energy, *map(float, log_partition_bounds(pool)))
