"""Sequences known by heart: one number u for every sequence of up to N symbols.

    E_N(x) = Σ_i Σ_{n ≤ N} u(x_{i-n+1} … x_i)          i in the continuation

A whole-sentence exponential model (Rosenfeld, Chen and Zhu, 2001), with a feature for each n-gram.
Set phrases are what a language model of a few layers has no room for.
"""

from typing import List, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .by_heart import Given, Local

BITS = 20  # 2 to this power are the buckets; n-grams that fall into the same one share its number
MOST_BITS = 28  # 2^28 counts are a quarter of a gigabyte
FACTORS = (0x9E3779B97F4A7C15 - 2**64, 0xC2B2AE3D27D4EB4F - 2**64)  # odd, of 64 bits, with sign
MIX = 29


class NgramTable(Local):
    """Hashed; it starts at zero."""

    def __init__(self, longest: int, padding: int, given: Given = (0, 0), bits: int = BITS) -> None:
        super().__init__(padding, given)
        self.longest, self.bits = longest, bits
        self.numbers = nn.Embedding(1 << bits, 1)
        nn.init.zeros_(self.numbers.weight)

    def terms(self, windows: Tensor, first: int, real: Optional[Tensor] = None) -> Tensor:
        found = ngrams(windows.flatten(0, 1), self.longest, self.padding, self.bits)
        buckets = torch.stack(found)[:, :, first:]  # (longest, B·M, T - first)
        numbers = self.numbers(buckets).squeeze(-1).sum(dim=0, dtype=torch.float32)
        return numbers.view(*windows.shape[:2], -1)


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
        found.append((hashed * FACTORS[0] >> min(40, 64 - bits)) & ((1 << bits) - 1))
    return found
