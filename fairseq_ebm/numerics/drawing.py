"""Drawing symbols by inverse CDF: the draws are a function of the logits and the uniforms."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from .truncation import truncated_log_probs

BLOCK = 128  # symbols whose weights are summed before the search
CACHED = 1 << 20  # logits processed at once on a CPU, so that they stay in its cache
LOG2_E = math.log2(math.e)


@dataclass(frozen=True)
class Truncation:
    """How draws deviate from the model's own distribution; by default, not at all."""

    top_k: Optional[int] = None
    top_p: Optional[float] = None
    temperature: float = 1.0
    min_p: Optional[float] = None

    @property
    def is_none(self) -> bool:
        limits = self.top_k is not None or self.top_p not in (None, 1.0) or self.min_p is not None
        return not limits and self.temperature == 1.0

    @property
    def in_words(self) -> str:
        """ "top-k 10, temperature 0.9", or "untruncated"."""
        parts = (
            ("top-k", self.top_k, None),
            ("top-p", self.top_p, 1.0),
            ("min-p", self.min_p, None),
        )
        words = [f"{name} {value}" for name, value, none in parts if value not in (None, none)]
        words += [f"temperature {self.temperature}"] * (self.temperature != 1.0)
        return ", ".join(words) or "untruncated"


class SymbolDraws(NamedTuple):
    """Each (A, m): symbols, log P of the model, log q of the distribution drawn from (float64)."""

    tokens: Tensor
    log_p: Tensor
    log_q: Tensor


UNTRUNCATED = Truncation()


def draw(
    logits: Tensor, uniforms: Tensor, never: int, truncation: Truncation = UNTRUNCATED
) -> SymbolDraws:
    """m draws from each row of ``logits`` (A, V), by ``uniforms`` (A, m) in [0, 1).

    log P is the log-softmax of the unchanged logits. The symbol ``never`` (padding, which no text
    contains) is never drawn; its probability counts towards log P but not towards log q. Where
    there is nothing to draw from, since logits are NaN or infinite, log P or log q is NaN: to look
    at them here would make a GPU wait at every token.
    """
    rows = max(1, CACHED // logits.size(1)) if logits.device.type == "cpu" else max(1, len(logits))
    parts = zip(torch.split(logits, rows), torch.split(uniforms, rows))
    draws = [_draw(part, uniform, never, truncation) for part, uniform in parts]
    return draws[0] if len(draws) == 1 else SymbolDraws(*(torch.cat(part) for part in zip(*draws)))


def _draw(logits: Tensor, uniforms: Tensor, never: int, truncation: Truncation) -> SymbolDraws:
    logits = logits.float()
    largest = logits.amax(dim=-1, keepdim=True)
    weights = _padded(logits)  # (A, V rounded up to blocks), zeros at the end
    # exp(x) as 2^(x log2 e): on the CPU torch computes powers of 2 several times faster.
    filled = weights[:, : logits.size(1)]
    torch.sub(logits, largest, out=filled).mul_(LOG2_E).exp2_()
    block_sums = _block_sums(weights)
    log_total = torch.log(block_sums.sum(dim=-1, keepdim=True))  # (A, 1), float64
    if truncation.is_none:
        block = never // BLOCK
        weights[:, never] = 0
        block_sums[:, block] = weights[:, block * BLOCK : (block + 1) * BLOCK].sum(-1).double()
        tokens = inverse_cdf(weights, block_sums, uniforms).clamp(max=logits.size(1) - 1)
        shifted = (logits.gather(1, tokens) - largest).double()
        log_q_total = torch.log(block_sums.sum(dim=-1, keepdim=True))
        return SymbolDraws(tokens, shifted - log_total, shifted - log_q_total)

    weights[:, never] = 0
    support, log_q = _truncated(logits, weights, never, truncation)
    weights = _padded(log_q)
    torch.exp(log_q, out=weights[:, : log_q.size(1)])
    chosen = inverse_cdf(weights, _block_sums(weights), uniforms).clamp(max=log_q.size(1) - 1)
    tokens = chosen if support is None else support.gather(1, chosen)
    log_p = (logits.gather(1, tokens) - largest).double() - log_total
    return SymbolDraws(tokens, log_p, log_q.gather(1, chosen).double())


def _truncated(
    logits: Tensor, weights: Tensor, never: int, truncation: Truncation
) -> "tuple[Optional[Tensor], Tensor]":
    """(symbols, log q): under top-k the k likeliest symbols (A, k), else None for all of them."""
    support = None
    if truncation.top_k is None:
        logits = logits.clone()
        logits[:, never] = -torch.inf
    else:
        support = _largest(weights, min(truncation.top_k, logits.size(1) - 1))
        # Weights below float32's range are all 0, so these may be ones that must not be drawn.
        invalid = (support == never) | (support >= logits.size(1))
        support = support.masked_fill(invalid, never)
        logits = logits.gather(1, support).masked_fill(invalid, -torch.inf)  # top-p uses these
    limits = (None, truncation.top_p, truncation.temperature, truncation.min_p)
    return support, truncated_log_probs(logits, *limits)


def _largest(weights: Tensor, k: int) -> Tensor:
    """Indices (A, k) of the k largest of ``weights`` (A, V), V a multiple of ``BLOCK``.

    They are in the k blocks with the largest maxima: only those are searched.
    """
    blocks = weights.view(weights.size(0), -1, BLOCK)
    best = torch.topk(blocks.amax(dim=-1), min(k, blocks.size(1)), dim=-1).indices  # (A, b)
    candidates = blocks.gather(1, best.unsqueeze(-1).expand(-1, -1, BLOCK)).flatten(1)
    places = torch.topk(candidates, k, dim=-1).indices
    return best.gather(1, places // BLOCK) * BLOCK + places % BLOCK


def _padded(rows: Tensor) -> Tensor:
    """Uninitialised weights for ``rows`` (A, V), followed by zeros up to whole blocks."""
    size = -(-rows.size(1) // BLOCK) * BLOCK
    weights = rows.new_empty(rows.size(0), size)
    weights[:, rows.size(1) :] = 0
    return weights


def _block_sums(weights: Tensor) -> Tensor:
    return weights.view(weights.size(0), -1, BLOCK).sum(dim=-1).double()


def inverse_cdf(weights: Tensor, block_sums: Tensor, uniforms: Tensor) -> Tensor:
    """Indices (A, m) of the first weight at which the running sum exceeds u times the total.

    ``weights`` (A, V) are not negative, V is a multiple of ``BLOCK``, and ``block_sums``
    (A, V / BLOCK) are theirs. The search takes two steps, blocks first: a running sum over a large
    vocabulary would cost more than the rest and lose small weights to rounding. A weight of zero is
    never found.
    """
    cdf = block_sums.cumsum(dim=-1)
    targets = uniforms.to(cdf) * cdf[:, -1:]
    # A target may round up to the total; among NaN, nothing is found.
    last = torch.searchsorted(cdf, cdf[:, -1:].contiguous()).clamp(max=cdf.size(1) - 1)
    block = torch.minimum(torch.searchsorted(cdf, targets.contiguous(), right=True), last)
    before = torch.where(block > 0, cdf.gather(1, (block - 1).clamp(min=0)), 0.0)
    blocks = weights.view(weights.size(0), -1, BLOCK)
    inner = blocks.gather(1, block.unsqueeze(-1).expand(-1, -1, BLOCK)).double().cumsum(-1)
    inner_last = torch.searchsorted(inner, inner[..., -1:].contiguous()).clamp(max=BLOCK - 1)
    inner_targets = (targets - before).unsqueeze(-1)
    offset = torch.minimum(torch.searchsorted(inner, inner_targets, right=True), inner_last)
    return block * BLOCK + offset.squeeze(-1)
