"""Scores of a text by one pass over a language model's logits. Higher: more likely generated."""

from typing import Callable, Dict, NamedTuple

import torch
from torch import Tensor

K = 20  # of Min-K%: the share of tokens that count, in per cent: the usual choice


class TokenStatistics(NamedTuple):
    """Of each token, in float64 and of one shape (..., L); natural logarithms."""

    log_p: Tensor
    log_rank: Tensor  # rank 1: no symbol was more probable
    entropy: Tensor  # of the distribution that predicts the token
    variance: Tensor  # of log p under that distribution


def token_statistics(log_probs: Tensor, tokens: Tensor) -> TokenStatistics:
    """Normalised ``log_probs`` (A, V), -inf allowed, and ``tokens`` (A, 1) -> four of (A,)."""
    log_p = log_probs.gather(1, tokens)
    rank = 1 + (log_probs > log_p).sum(dim=1)
    p = log_probs.double().exp()
    finite = log_probs.double().masked_fill(p == 0, 0.0)  # 0 log 0 = 0
    mean = (p * finite).sum(dim=1)
    variance = (p * (finite - mean.unsqueeze(1)).square()).sum(dim=1)
    return TokenStatistics(log_p[:, 0].double(), rank.double().log(), -mean, variance)


def _lrr(s: TokenStatistics, is_token: Tensor) -> Tensor:
    """Log-likelihood over log-rank; if all tokens have rank 1, as if one had rank 2."""
    least = torch.tensor(2.0, dtype=torch.float64).log()
    return -_sum(s.log_p, is_token) / _sum(s.log_rank, is_token).clamp_min(least)


def _fast_detectgpt(s: TokenStatistics, is_token: Tensor) -> Tensor:
    """Sum of log p above its expectation, in standard deviations."""
    above = _sum(s.log_p + s.entropy, is_token)
    return above / _sum(s.variance, is_token).clamp_min(1e-12).sqrt()


def _min_k(values: Tensor, is_token: Tensor) -> Tensor:
    """Mean of the K per cent of tokens with the lowest values, of one at least."""
    count = (is_token.sum(dim=-1, keepdim=True) * K // 100).clamp_min(1)
    ordered = values.masked_fill(~is_token, torch.inf).sort(dim=-1).values
    counts = torch.arange(values.size(-1), device=values.device) < count
    return _mean(ordered, counts & (ordered < torch.inf))


def _in_deviations(s: TokenStatistics) -> Tensor:
    """log p above its expectation, of each token, in standard deviations."""
    return (s.log_p + s.entropy) / s.variance.clamp_min(1e-12).sqrt()


def _sum(values: Tensor, is_token: Tensor) -> Tensor:
    return values.masked_fill(~is_token, 0.0).sum(dim=-1)


def _mean(values: Tensor, is_token: Tensor) -> Tensor:
    return _sum(values, is_token) / is_token.sum(dim=-1)


# name -> (statistics of texts (..., L), which of them are tokens (..., L)) -> (...)
DETECTORS: Dict[str, Callable[[TokenStatistics, Tensor], Tensor]] = {
    "log_likelihood": lambda s, is_token: _mean(s.log_p, is_token),
    "log_rank": lambda s, is_token: -_mean(s.log_rank, is_token),
    # Higher for generated text, as in the field's baselines and as measured (docs/benchmarks.md):
    # real text leads to places where a language model is more certain.
    "entropy": lambda s, is_token: _mean(s.entropy, is_token),
    "lrr": _lrr,
    "fast_detectgpt": _fast_detectgpt,
    "min_k": lambda s, is_token: _min_k(s.log_p, is_token),
    "min_k_plus_plus": lambda s, is_token: _min_k(_in_deviations(s), is_token),
}
