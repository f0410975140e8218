"""Diagnostics of importance weights: effective sample size and the Pareto shape k-hat."""

import math

import torch
from torch import Tensor

PRIOR_SHAPE = 0.5  # k-hat is shrunk towards this value ...
PRIOR_STRENGTH = 10  # ... as if by this many more tail values


def valid_log_weights(log_weights: Tensor) -> Tensor:
    """``log_weights`` in float64, or ValueError if one is NaN or +inf; -inf is a weight of zero."""
    log_weights = log_weights.double()
    if torch.isnan(log_weights).any() or (log_weights == math.inf).any():
        raise ValueError("log-weights must be finite or -inf (an energy is NaN or -inf)")
    return log_weights


def valid_pools(log_weights: Tensor) -> Tensor:
    """``valid_log_weights`` of entire pools (..., n), each of which must have some weight."""
    log_weights = valid_log_weights(log_weights)
    if (log_weights == -math.inf).all(dim=-1).any():
        raise ValueError("every weight of a pool is zero (all its energies are +inf)")
    return log_weights


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """ESS = (Σ w)² / Σ w², from 1 (one weight dominates) to n (all equal).  (..., n) -> (...)"""
    log_weights = valid_pools(log_weights)
    total, squares = log_weights.logsumexp(dim=-1), (2 * log_weights).logsumexp(dim=-1)
    return torch.exp(2 * total - squares)


def pareto_k(log_weights: Tensor) -> Tensor:
    """Shape k̂ of a generalised Pareto distribution fitted to the largest of (..., n): (...).

    Below 0.5 the weights have a finite variance and a mean over them converges as usual; above
    0.7 sums over them cannot be trusted at any practical n (Vehtari et al., Pareto smoothed
    importance sampling). The tail is the min(n/5, 3√n) largest weights in excess of the next one.

    NaN if there is no tail: fewer than 5 values, or equal ones, whose sums are exact. +inf if a
    quarter of it is on its threshold and some is above: a few weights dominate, or all but a few
    are zero, or few are distinct. No tail can be fitted to these either, but they must not be
    trusted blindly.
    """
    log_weights = valid_pools(log_weights)
    n = log_weights.size(-1)
    tail_size = math.ceil(min(0.2 * n, 3 * math.sqrt(n)))
    if tail_size < 5:
        return log_weights.new_full(log_weights.shape[:-1], math.nan)
    largest = torch.topk(log_weights, tail_size + 1, dim=-1).values  # descending
    weights = torch.exp(largest - largest[..., :1])  # in [0, 1]
    excesses = (weights[..., :-1] - weights[..., -1:]).flip(-1)  # ascending, in [0, 1]
    return _generalised_pareto_shape(excesses)


def _generalised_pareto_shape(excesses: Tensor) -> Tensor:
    """Posterior-mean shape of ascending ``excesses`` (..., m), after Zhang and Stephens (2009).

    The profile likelihood of the generalised Pareto distribution depends on one parameter
    θ = -shape/scale. θ is estimated by its mean over a fixed grid, weighted by the profile, and the
    shape is mean log(1 - θ x).
    """
    m = excesses.size(-1)
    quartile = excesses[..., int(m / 4 + 0.5) - 1]
    fits = quartile > 0
    unfit = torch.where(excesses[..., -1] > 0, math.inf, math.nan)
    x = torch.where(fits.unsqueeze(-1), excesses, torch.ones_like(excesses))
    quartile = torch.where(fits, quartile, torch.ones_like(quartile))

    grid_size = 30 + int(math.sqrt(m))
    thetas, profile = [], []
    for j in range(grid_size):  # one point at a time: grid × tails may not fit in memory
        spread = 1 - math.sqrt(grid_size / (j + 0.5))
        theta = 1 / x[..., -1] + spread / (3 * quartile)
        shape = torch.log1p(-theta.unsqueeze(-1) * x).mean(dim=-1)
        thetas.append(theta)
        profile.append(m * (torch.log(-theta / shape) - shape - 1))
    weights = torch.softmax(torch.stack(profile), dim=0)
    theta = (weights * torch.stack(thetas)).sum(dim=0)
    shape = torch.log1p(-theta.unsqueeze(-1) * x).mean(dim=-1)
    shape = (m * shape + PRIOR_STRENGTH * PRIOR_SHAPE) / (m + PRIOR_STRENGTH)
    return torch.where(fits, shape, unfit.to(shape))
