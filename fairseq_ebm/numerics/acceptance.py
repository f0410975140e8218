"""Samplers that accept or reject proposals: exact in the limit, with a measure of how close.

Both take the log-weights log(p/q) + constant of proposals from q, in the order in which they were
drawn, and aim at p. Each uniform number belongs to one proposal.
"""

import math
from typing import NamedTuple, Tuple

import torch
from torch import Tensor

from .weights import valid_log_weights


def metropolis_hastings(
    log_weights: Tensor, uniforms: Tensor, num_draws: int
) -> Tuple[Tensor, float]:
    """Independent Metropolis–Hastings over proposals (n,): (draws (num_draws,), share accepted).

    One chain runs through all proposals; proposal i replaces the current state j with probability
    min(1, w_i / w_j). Draws are the states at the end of each of ``num_draws`` equal parts, so a
    draw depends on all proposals before it. The chain begins at the first proposal with weight.
    ``uniforms`` (n,) in [0, 1).
    """
    weights = valid_log_weights(log_weights).tolist()
    thresholds = torch.log(uniforms.double()).tolist()
    n = len(weights)
    if not 1 <= num_draws <= n:
        raise ValueError(f"{num_draws} draws from a chain of {n} proposals")
    state = next((i for i, weight in enumerate(weights) if weight > -math.inf), None)
    if state is None:
        raise ValueError("nothing to draw from: no proposal has weight")
    draws, accepted = [], 0
    ends = {n * (draw + 1) // num_draws - 1 for draw in range(num_draws)}
    for i in range(n):
        if i > state and weights[i] > -math.inf and thresholds[i] < weights[i] - weights[state]:
            state, accepted = i, accepted + 1
        if i in ends:
            draws.append(state)
    return torch.tensor(draws), accepted / max(1, n - 1)


def accept(log_weights: Tensor, uniforms: Tensor, log_beta: float) -> Tensor:
    """Quasi-rejection (Eikema et al., 2022): True (n,) with probability min(1, w / β).

    Accepted proposals are independent samples of p_β(x) ∝ min(p(x), β q(x)), which is p itself if
    no weight exceeds β.
    """
    return torch.log(uniforms.double()) < valid_log_weights(log_weights) - log_beta


class Distance(NamedTuple):
    """How far p_β is from p and what it costs, estimated from proposals."""

    acceptance: float
    total_variation: float
    kl: float  # of p from p_β, in nats


def distance(log_weights: Tensor, log_beta: float) -> Distance:
    """From log-weights (n,), with Z = mean w and Z_β = mean min(w, β):

    acceptance  Z_β / β
    total variation  ½ mean |w / Z - min(w, β) / Z_β|
    KL(p ‖ p_β)      log(Z_β / Z) + mean w / Z · max(0, log w - log β)
    """
    log_w = valid_log_weights(log_weights)
    clipped = log_w.clamp(max=log_beta)
    log_n = math.log(len(log_w))
    log_z, log_z_beta = (torch.logsumexp(weights, 0) - log_n for weights in (log_w, clipped))
    p, p_beta = torch.exp(log_w - log_z), torch.exp(clipped - log_z_beta)
    excess = torch.where(log_w > log_beta, log_w - log_beta, 0.0)
    return Distance(
        acceptance=float(torch.exp(log_z_beta - log_beta)),
        total_variation=float((p - p_beta).abs().mean() / 2),
        kl=float(log_z_beta - log_z + (p * excess).mean()),
    )
