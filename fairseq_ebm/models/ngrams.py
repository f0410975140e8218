"""What an energy knows by heart: one number u for every sequence of up to N symbols.

    E_N(x) = Σ_i Σ_{n ≤ N} u(x_{i-n+1} … x_i)          i in the continuation

A whole-sentence exponential model (Rosenfeld, Chen and Zhu, 2001): a feature for each n-gram,
which only an energy can afford, since to normalise them at every position all symbols of the
vocabulary would have to be looked up. Set phrases are what a language model of a few layers has no
room for.
"""

from typing import Any, List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BITS = 20  # 2 to this power are the buckets; n-grams that fall into the same one share its number
MOST_BITS = 24  # that ``ngrams`` mixes well
FACTORS = (0x9E3779B97F4A7C15 - 2**64, 0xC2B2AE3D27D4EB4F - 2**64)  # odd, of 64 bits, with sign
MIX = 29

# With Adam a parameter moves by some learning rates whenever it is met. A network's rate would be
# far too low for numbers that are met a few times in all.
PER_STEP = 20.0

Given = Tuple[int, int]  # tokens at the beginning and at the end that no continuation has


class NgramTable(nn.Module):
    """Hashed; it starts at zero. ``given`` is kept among the weights: it decides what E means."""

    given: Tensor

    def __init__(self, longest: int, padding: int, given: Given = (0, 0), bits: int = BITS) -> None:
        super().__init__()
        self.longest, self.padding, self.bits = longest, padding, bits
        self.numbers = nn.Embedding(1 << bits, 1)
        nn.init.zeros_(self.numbers.weight)
        self.register_buffer("given", torch.tensor(given))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T), padded at the end -> (N,), in float32"""
        first, last = self.given.tolist()
        buckets = torch.stack(ngrams(tokens, self.longest, self.padding, self.bits))[:, :, first:]
        terms = self.numbers(buckets).squeeze(-1)  # (longest, N, T - first)
        ends = (tokens != self.padding).sum(dim=1, keepdim=True) - last
        outside = torch.arange(first, tokens.size(1), device=tokens.device) >= ends
        return PER_STEP * terms.masked_fill(outside, 0.0).sum(dim=(0, 2), dtype=torch.float32)

    def changes(self, window: Tensor, symbols: int) -> Tensor:
        """By how much the sum over a window (T,) changes when symbol v stands at t: (T, symbols)"""
        rows, all_symbols = [], torch.arange(symbols, device=window.device)
        for t in range(len(window)):
            start = max(0, t - self.longest + 1)  # no sequence with t in it reaches further
            near = window[start : t + self.longest].repeat(symbols, 1)
            near[:, t - start] = all_symbols
            ends = torch.arange(start, start + near.size(1), device=window.device)
            counts = (ends >= max(t, int(self.given[0]))) & (
                ends < len(window) - int(self.given[1])
            )
            buckets = torch.stack(ngrams(near, self.longest, self.padding, self.bits))
            terms = self.numbers(buckets).squeeze(-1).masked_fill(~counts, 0.0)
            rows.append(terms.sum(dim=(0, 2), dtype=torch.float32))
        sums = PER_STEP * torch.stack(rows)
        return sums - sums.gather(1, window.unsqueeze(1))


def ngrams(tokens: Tensor, longest: int, padding: int, bits: int) -> List[Tensor]:
    """Buckets (N, T) of the n-grams of tokens (N, T) that end at each position, for n = 1, 2, …

    Before the window there is padding.
    """
    before = F.pad(tokens, (longest - 1, 0), value=padding)
    hashed, found = torch.zeros_like(tokens), []
    for n in range(longest):
        start = longest - 1 - n
        token = before[:, start : start + tokens.size(1)] + 1
        hashed = hashed * FACTORS[0] + token * FACTORS[1]  # modulo 2^64
        hashed = hashed ^ (hashed >> MIX)
        found.append((hashed * FACTORS[0] >> 40) & ((1 << bits) - 1))
    return found


def given_by(manifests: Any) -> Given:
    """The tokens that no continuation in any of these stores reaches."""
    begins, ends = [], []
    for manifest in manifests:
        options = manifest["options"]
        shortest = min(options.get("prefix_length") or (0,))
        backwards = bool(options.get("right_to_left"))
        begins.append(0 if backwards else shortest)
        ends.append(shortest if backwards else 0)
    return min(begins, default=0), min(ends, default=0)
