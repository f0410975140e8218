"""Temperature, top-k, top-p and min-p: from a model's logits to the sampling distribution."""

import math
from typing import Optional

import torch
from torch import Tensor


def truncated_log_probs(
    logits: Tensor,
    top_k: Optional[int] = None,
    top_p: Optional[float] = None,
    temperature: float = 1.0,
    min_p: Optional[float] = None,
) -> Tensor:
    """log q (..., V) of sampling from ``logits`` (..., V), which are not changed.

    In this order: logits are divided by the temperature; top-k keeps the k likeliest symbols;
    top-p keeps the fewest likeliest symbols whose probabilities reach p; min-p keeps those that
    have at least this share of the likeliest symbol's; these are normalised and the rest is -inf.
    So q sums to 1, and log q is the log-probability of a draw, as importance weights need it.
    Computed in float32, or in float64 if the logits are. NaN where they are NaN, all -inf, or
    overflow at this temperature: to look at them here would make a GPU wait.
    """
    vocabulary = logits.size(-1)
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
    if top_k is not None and not 1 <= top_k <= vocabulary:
        raise ValueError(f"top-k must be from 1 to the vocabulary's {vocabulary}, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top-p must be above 0 and at most 1, not {top_p}")
    if min_p is not None and not 0 < min_p <= 1:
        raise ValueError(f"min-p must be above 0 and at most 1, not {min_p}")

    scores = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    log_q = torch.log_softmax(scores, dim=-1)
    if top_k is not None and top_k < vocabulary:
        kept = torch.topk(log_q, top_k, dim=-1).indices
        log_q = _keep(log_q, kept, torch.ones_like(kept, dtype=torch.bool))
    if top_p is not None and top_p < 1:
        ranked, order = torch.sort(log_q, dim=-1, descending=True, stable=True)
        before = torch.exp(ranked).cumsum(dim=-1) - torch.exp(ranked)  # mass of likelier symbols
        log_q = _keep(log_q, order, before < top_p)
    if min_p is not None:
        likely = log_q >= log_q.amax(dim=-1, keepdim=True) + math.log(min_p)
        log_q = torch.log_softmax(log_q.masked_fill(~likely, -math.inf), dim=-1)
    return log_q


def _keep(log_q: Tensor, indices: Tensor, kept: Tensor) -> Tensor:
    """log_q normalised over those ``indices`` (..., m) that are ``kept``, -inf elsewhere."""
    mask = torch.zeros_like(log_q, dtype=torch.bool).scatter(-1, indices, kept)
    return torch.log_softmax(log_q.masked_fill(~mask, -math.inf), dim=-1)
