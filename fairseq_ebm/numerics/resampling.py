"""From log-weights to resampled indices: whole pools at once, or chunk by chunk.

Whole pools: ``resample``. Pools whose samples do not fit in memory: ``Reservoir``, which keeps the
winners so far, so that only they need to be stored.
"""

import math
from typing import Optional

import torch
from torch import Generator, Tensor

from .weights import valid_log_weights, valid_pools


def resample(
    log_weights: Tensor,
    num_draws: int,
    generator: Optional[Generator] = None,
    replacement: bool = True,
) -> Tensor:
    """Indices (..., num_draws) into pools of ``log_weights`` (..., n), which need no normalisation.

    With replacement, each draw is i with probability softmax(log_weights)_i. Without, the draws of
    a pool are distinct and each follows the softmax over what the earlier ones left. An index of
    weight zero is never drawn. The generator lives on the weights' device.
    """
    log_weights = valid_pools(log_weights)
    if replacement:
        return _inverse_cdf(log_weights, num_draws, generator)
    available = int((log_weights > -math.inf).sum(dim=-1).min())
    if num_draws > available:
        raise ValueError(
            f"{num_draws} draws without replacement from {available} samples with weight"
        )
    keys = log_weights + _gumbel(log_weights.shape, log_weights.device, generator)
    return torch.topk(keys, num_draws, dim=-1).indices


def _inverse_cdf(log_weights: Tensor, num_draws: int, generator: Optional[Generator]) -> Tensor:
    weights = torch.exp(log_weights - log_weights.max(dim=-1, keepdim=True).values)
    cdf = weights.cumsum(dim=-1)
    shape = (*log_weights.shape[:-1], num_draws)
    uniforms = torch.rand(shape, generator=generator, dtype=torch.float64, device=cdf.device)
    # The first index whose cdf exceeds u: it has weight, since its cdf exceeds the one before.
    drawn = torch.searchsorted(cdf, uniforms * cdf[..., -1:], right=True)
    # A u that rounds up to the total points past the end: back to the last index with weight.
    last = torch.searchsorted(cdf, cdf[..., -1:].contiguous(), right=False)
    return torch.minimum(drawn, last)


def _gumbel(shape: torch.Size, device: torch.device, generator: Optional[Generator]) -> Tensor:
    """Standard Gumbel noise: log-weight + noise is largest at i with probability softmax_i."""
    uniforms = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
    return -torch.log(-torch.log(uniforms))


class Reservoir:
    """Draws from one pool that arrives in chunks, each seen once.

        reservoir = Reservoir(num_draws, generator)
        for log_weights in chunks:              # (m,), not normalised
            taken = reservoir.update(log_weights)
            # keep the samples whose positions in the pool are in ``taken``; drop all others
        indices = reservoir.indices()

    The distribution is that of ``resample``; on the CPU, the draws do not depend on where the pool
    was cut into chunks. With replacement every draw is a race of its own, won by the largest
    log-weight + Gumbel noise; without, the draws are the first ``num_draws`` of a single race.
    Costs num_draws numbers of noise for each sample with replacement, one without.
    """

    def __init__(
        self, num_draws: int, generator: Optional[Generator] = None, replacement: bool = True
    ) -> None:
        self.num_draws = num_draws
        self.replacement = replacement
        self.num_seen = 0
        self._generator = generator
        # Best keys so far, (num_draws,), and their positions in the pool. -inf: none with weight.
        device = generator.device if generator is not None else torch.device("cpu")
        self._keys = torch.full((num_draws,), -math.inf, dtype=torch.float64, device=device)
        self._winners = torch.full((num_draws,), -1, device=device)

    def update(self, log_weights: Tensor) -> Tensor:
        """Runs a chunk of log-weights (m,); returns the winners' positions in the pool so far."""
        log_weights = valid_log_weights(log_weights)
        m = log_weights.size(0)
        races = self.num_draws if self.replacement else 1
        noise = _gumbel(torch.Size((m, races)), log_weights.device, self._generator)
        keys = log_weights.unsqueeze(-1) + noise  # (m, races)
        positions = torch.arange(self.num_seen, self.num_seen + m, device=keys.device)
        if self.replacement:
            keys, where = keys.max(dim=0)  # (num_draws,)
            newer = keys > self._keys
            self._keys = torch.where(newer, keys, self._keys)
            self._winners = torch.where(newer, positions[where], self._winners)
        else:
            keys = torch.cat([self._keys, keys.squeeze(-1)])
            self._keys, best = torch.topk(keys, self.num_draws)
            self._winners = torch.cat([self._winners, positions])[best]
        self.num_seen += m
        return self._winners[self._keys > -math.inf]

    def indices(self) -> Tensor:
        """The draws (num_draws,), as positions in the whole pool."""
        found = int((self._keys > -math.inf).sum())
        if found == 0:
            raise ValueError("nothing to draw from: no sample with weight in the pool")
        if found < self.num_draws:
            raise ValueError(
                f"{self.num_draws} draws without replacement from {found} samples with weight"
            )
        return self._winners
