"""What a window says again: how long a sequence that ends at a symbol stood in it before?

    E_R(x) = Σ_i [r(m_i) + s(x_i, min(m_i, 3))]                          i in the continuation

m_i is the length of the longest sequence, up to N symbols, that ends at position i and at an
earlier one. Real text repeats its names and phrases; a small language model forgets them.
"""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .by_heart import PER_STEP, ByHeart, Given

KINDS = 4  # of repetition, in which a symbol has a number of its own: 0, 1, 2 symbols, more
AT_ONCE = 1 << 26  # comparisons of one symbol with another


class RepeatTable(ByHeart):
    """It starts at zero."""

    def __init__(self, longest: int, symbols: int, padding: int, given: Given = (0, 0)) -> None:
        super().__init__(padding, given)
        self.longest = longest
        self.lengths = nn.Embedding(longest + 1, 1)
        self.of_symbols = nn.Embedding(symbols * KINDS, 1)
        for numbers in (self.lengths, self.of_symbols):
            nn.init.zeros_(numbers.weight)

    def terms(self, windows: Tensor, first: int, real: Optional[Tensor] = None) -> Tensor:
        rows = windows.flatten(0, 1)
        at_once = max(1, AT_ONCE // rows.size(1) ** 2)
        parts = [repeated(part, self.longest, first) for part in rows.split(at_once)]
        lengths = torch.cat(parts).view(*windows.shape[:2], -1)
        symbols = windows[:, :, first:] * KINDS + lengths.clamp(max=KINDS - 1)
        return (self.lengths(lengths).float() + self.of_symbols(symbols)).squeeze(-1)

    @torch.no_grad()
    def changes(self, window: Tensor, symbols: int, places: Tensor) -> Tensor:
        """Symbols that the window does not have repeat nothing, so that one of them shows what all
        of them do; only their own numbers differ."""
        held = window.unique()
        others = {self.padding, *held.tolist()}
        foreign = [v for v in range(len(others) + 1) if v not in others and v < symbols][:1]
        tried = torch.cat([held, held.new_tensor(foreign)])  # (S,)
        edited = window.repeat(len(places), len(tried), 1)  # (P, S, T)
        edited[torch.arange(len(places)), :, places] = tried
        sums = self(edited)
        first, last = self.given.tolist()
        counted = ((places >= first) & (places < len(window) - last)).unsqueeze(1)
        own = PER_STEP * self.of_symbols.weight.float()[::KINDS, 0] * counted  # (P, symbols)
        result = own + (sums - own[:, tried])[:, -1:]
        result[:, held] = sums[:, : len(held)]
        return result - result.gather(1, window[places].unsqueeze(1))


def repeated(tokens: Tensor, longest: int, first: int = 0) -> Tensor:
    """(N, T) -> (N, T - first): the length of the longest sequence, at most ``longest``, that ends
    at a position and at an earlier one."""
    start = max(0, first - longest + 1)
    same = (tokens[:, start:, None] == tokens[:, None, :]).tril(start - 1)  # [t, s], s before t
    alive, lengths = same, same.any(dim=2).long()
    for _ in range(longest - 1):
        alive = same & F.pad(alive[:, :-1, :-1], (1, 0, 1, 0))
        lengths += alive.any(dim=2)
    return lengths[:, first - start :]
