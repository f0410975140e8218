"""Which examples of a batch a language model learns from, and what follows for their weights.

A score s_x is one number an example x of n_x tokens. Its weight in a loss that is a mean over
tokens is w_x = n_x exp(s_x) / Σ_y n_y exp(s_y): a chosen example's part of that loss is in
proportion to n_x already, so that examples are *drawn* in proportion to exp(s_x) alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .weights import valid_pools

TINY = 1e-6  # added to a norm that is divided by


def token_weights(scores: Tensor, lengths: Tensor) -> Tensor:
    """w (B,) of ``scores`` (B,) for examples of ``lengths`` (B,), with gradients; sums to 1.

    With equal scores the weighted mean of the examples' mean losses is the mean over all tokens.
    """
    return torch.softmax(scores + lengths.to(scores).log(), dim=0)


def without_replacement(log_weights: Tensor, size: int, uniforms: Tensor) -> Tensor:
    """Indices (size,), ascending, of examples drawn one after the other, each with probability
    softmax(log_weights) among those that are left.

    By the ``size`` largest of log w_x − log(−log u_x) for ``uniforms`` u (B,) in [0, 1): what is
    added is Gumbel's, and the largest of the sums is x with probability softmax(log_weights)_x.
    """
    log_weights = valid_pools(log_weights)
    within = uniforms.double().clamp(1e-300, 1 - 2**-53)  # at 0 and 1 there is no logarithm
    noise = -torch.log(-torch.log(within))
    return top(log_weights + noise, size)


def top(scores: Tensor, size: int) -> Tensor:
    """Indices (size,), ascending, of the highest ``scores`` (B,); of equal ones the first."""
    return torch.sort(scores, descending=True, stable=True).indices[:size].sort().values


def concentration(scores: Tensor, size: int) -> float:
    """The share that the ``size`` largest weights softmax(scores) (B,) have of the sum of their
    squares: size / B for equal ones."""
    squares = torch.softmax(scores.double(), dim=0).square()
    return float(squares.topk(size).values.sum() / squares.sum())


def classifier_loss(generic: Tensor, specific: Tensor) -> Tensor:
    """½ mean softplus(s) over generic examples + ½ mean softplus(−s) over specific ones.

    Half of ``losses.conditional_nce`` for energies E = −s, specific text for real and generic text
    for generated: at the optimum s is the logarithm of the ratio of their densities.
    """
    return 0.5 * (F.softplus(generic).mean() + F.softplus(-specific).mean())


def alignment(u: Tensor, g: Tensor, metric_u: Tensor) -> Tensor:
    """⟨u, g⟩ / (r + 1e-6), r = √⟨u, M u⟩, for ``metric_u`` M u: how well a step against u (P,)
    serves a loss of gradient g (P,), whatever the length of u. M is 1, or that loss's Hessian."""
    return torch.dot(u, g) / (torch.dot(u, metric_u).sqrt() + TINY)


def alignment_gradient(u: Tensor, g: Tensor, metric_u: Tensor) -> Tensor:
    """The gradient (P,) in u of −``alignment``, for a symmetric M:
    −g / (r + 1e-6) + ⟨u, g⟩ / (r (r + 1e-6)²) M u."""
    r = torch.dot(u, metric_u).sqrt()
    return -g / (r + TINY) + torch.dot(u, g) / (r * (r + TINY).square()) * metric_u
