"""What an energy knows by heart, beside what a network computes: numbers looked up and added up.

    E_heart(x) = Σ_i e(x, i)                                             i in the continuation

They train in seconds, and an energy may have them where a language model may not: to normalise
them at a position, they would have to be looked up for every symbol of the vocabulary.
"""

from typing import Any, List, Mapping, Optional, Tuple

import torch
from torch import Tensor, nn

# With Adam a parameter moves by some learning rates whenever it is met. A network's rate would be
# far too low for numbers that are met a few times in all.
PER_STEP = 20.0

Given = Tuple[int, int]  # tokens at the beginning and at the end that no continuation has


class ByHeart(nn.Module):
    """``given`` is kept among the weights: it decides what E means."""

    given: Tensor

    def __init__(self, padding: int, given: Given) -> None:
        super().__init__()
        self.padding = padding
        self.register_buffer("given", torch.tensor(given))

    def terms(self, windows: Tensor, first: int, real: Optional[Tensor] = None) -> Tensor:
        """(B, M, T) -> (B, M, T - first): e at all positions from ``first`` on, / ``PER_STEP``.

        ``real`` (B, T), in training: the window of the training text that a row is about."""
        raise NotImplementedError

    def changes(self, window: Tensor, symbols: int, places: Tensor) -> Tensor:
        """By how much the sum over a window (T,) changes when symbol v stands at one of ``places``
        (P,): (P, symbols)"""
        raise NotImplementedError

    def forward(self, windows: Tensor, real: Optional[Tensor] = None) -> Tensor:
        """(B, M, T), padded at the end -> (B, M), in float32"""
        first, last = self.given.tolist()
        terms = self.terms(windows, first, real).float()
        ends = (windows != self.padding).sum(dim=2, keepdim=True) - last
        outside = torch.arange(windows.size(2), device=windows.device)[first:] >= ends
        return PER_STEP * terms.masked_fill(outside, 0.0).sum(dim=2)


class Local(ByHeart):
    """e(x, i) is a function of ``longest`` symbols, the last of which is x_i."""

    longest: int

    @torch.no_grad()
    def changes(self, window: Tensor, symbols: int, places: Tensor) -> Tensor:
        rows, all_symbols = [], torch.arange(symbols, device=window.device)
        first, last = self.given.tolist()
        for t in places.tolist():
            start = max(0, t - self.longest + 1)  # no term with t in it reaches further
            near = window[start : t + self.longest].repeat(symbols, 1)
            near[:, t - start] = all_symbols
            at = torch.arange(start, start + near.size(1), device=window.device)
            counts = (at >= max(t, first)) & (at < len(window) - last)
            terms = self.terms(near.unsqueeze(1), 0).squeeze(1).float()
            rows.append(terms.masked_fill(~counts, 0.0).sum(dim=1))
        sums = PER_STEP * torch.stack(rows)
        return sums - sums.gather(1, window[places].unsqueeze(1))


def given_by(manifests: List[Mapping[str, Any]]) -> Given:
    """The tokens that no continuation in any of these stores reaches."""
    begins, ends = [], []
    for manifest in manifests:
        options = manifest["options"]
        shortest = min(options.get("prefix_length") or (0,))
        backwards = bool(options.get("right_to_left"))
        begins.append(0 if backwards else shortest)
        ends.append(shortest if backwards else 0)
    return min(begins, default=0), min(ends, default=0)
