"""Bounds on the log-partition function log Z = log E_{x ~ P_LM}[exp(-E(x))] from samples."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .weights import effective_sample_size, pareto_k, valid_pools


class LogPartition(NamedTuple):
    """Estimates of log Z, each of shape (...), float64.

    In expectation lower < log Z < upper once n is large enough; ``jackknife`` is halfway between,
    with a bias that falls like 1/n². A lower log Z means a *lower* perplexity. The gap reflects
    bias; ``error``, the standard error of ``jackknife``, is from sampling and mostly far larger.
    """

    lower: Tensor
    upper: Tensor
    jackknife: Tensor
    error: Tensor


class LogPartitionBounds(NamedTuple):
    """The same with diagnostics: with few effective samples (``ess`` small, ``pareto_k`` above 0.7)
    the gap can close while both bounds are wrong."""

    lower: Tensor
    upper: Tensor
    jackknife: Tensor
    error: Tensor
    ess: Tensor
    pareto_k: Tensor


def log_partition_bounds(energies: Tensor) -> LogPartitionBounds:
    """``log_partition`` with the diagnostics of its weights."""
    weights = -energies.double()
    ess, k_hat = effective_sample_size(weights), pareto_k(weights)
    return LogPartitionBounds(*log_partition(energies), ess, k_hat)


def log_partition(energies: Tensor) -> LogPartition:
    """From the energies (..., n) of n ≥ 2 samples of the LM itself, untruncated.

    With T_n = log (1/n) Σ_i exp(-E_i), and T_{n-1} the mean of the n leave-one-out estimates:

        lower     = T_n
        upper     = (2n - 1) T_n - 2 (n - 1) T_{n-1}
        jackknife =       n  T_n -   (n - 1) T_{n-1}
        error²    = (n - 1) / n  Σ_i (T_{n-1}^(-i) - T_{n-1})²

    The jackknife is the mean of n pseudo-values, and ``error`` that mean's standard error. The
    delta method, √(1/ESS - 1/n), is too small for heavy weights, as it treats the logarithm as
    linear (docs/benchmarks.md).

    For samples of another proposal q, pass E_i - log P_LM(x_i) + log q(x_i) as energies. An energy
    of +inf is weight 0; if only one sample has weight, upper and error are +inf.
    """
    log_weights = valid_pools(-energies)
    n = log_weights.size(-1)
    if n < 2:
        raise ValueError(f"bounds need at least 2 samples of each prefix, not {n}")
    offset = log_weights.max(dim=-1, keepdim=True).values
    log_shares = log_weights - offset
    total = torch.logsumexp(log_shares, dim=-1, keepdim=True)
    log_shares = log_shares - total  # log p_i, p = softmax(-E)
    lower = (offset + total).squeeze(-1) - math.log(n)

    # T_{n-1}^(-i) = T_n - log(1 - 1/n) + log(1 - p_i), so that
    # T_n - T_{n-1} = log(1 - 1/n) - mean_i log(1 - p_i), not negative by Jensen's inequality.
    others = log_share_of_others(log_shares)
    mean = others.mean(dim=-1, keepdim=True)
    step = (math.log1p(-1 / n) - mean.squeeze(-1)).clamp(min=0)
    error = ((n - 1) / n * (others - mean).square().sum(dim=-1)).sqrt()
    return LogPartition(
        lower=lower,
        upper=lower + 2 * (n - 1) * step,
        jackknife=lower + (n - 1) * step,
        error=torch.where(step.isinf(), math.inf, error),
    )


def log_share_of_others(log_shares: Tensor) -> Tensor:
    """log(1 - p_i) for normalised ``log_shares`` log p_i (..., n), without cancellation.

    If a p_i is near 1, 1 - p_i has no digits left: the others are summed instead. At most one p_i
    exceeds 1/2, so only the largest needs it.
    """
    largest, index = log_shares.max(dim=-1, keepdim=True)
    others = torch.logsumexp(log_shares.scatter(-1, index, -math.inf), dim=-1, keepdim=True)
    small = torch.log1p(-torch.exp(log_shares))
    of_largest = torch.where(largest > math.log(0.5), others, small.gather(-1, index))
    return small.scatter(-1, index, of_largest)
