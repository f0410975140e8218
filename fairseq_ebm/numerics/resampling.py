"""From log-weights to resampled indices."""

from typing import Optional

import torch
from torch import Generator, Tensor

from .weights import valid_pools


def resample(log_weights: Tensor, num_draws: int, generator: Optional[Generator] = None) -> Tensor:
    """Indices (..., num_draws) into pools of ``log_weights`` (..., n), which need no normalisation.

    By inverse CDF, with replacement: each draw is i with probability softmax(log_weights)_i. An
    index of weight zero is never drawn. The generator is on the weights' device.
    """
    log_weights = valid_pools(log_weights)
    weights = torch.exp(log_weights - log_weights.max(dim=-1, keepdim=True).values)
    cdf = weights.cumsum(dim=-1)
    shape = (*log_weights.shape[:-1], num_draws)
    uniforms = torch.rand(shape, generator=generator, dtype=torch.float64, device=cdf.device)
    # The first index whose cdf exceeds u: it has weight, since its cdf exceeds the previous one.
    drawn = torch.searchsorted(cdf, uniforms * cdf[..., -1:], right=True)
    # A u that rounds up to the total points past the end: take the last index with weight.
    last = torch.searchsorted(cdf, cdf[..., -1:].contiguous(), right=False)
    return torch.minimum(drawn, last)
