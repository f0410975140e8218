"""The joint model P_LM(x) exp(-E(x)) / Z: a proposal that draws and an energy that judges.

P_LM is here the language model given that no symbol is padding: what the sampler draws from. Then
base and joint probabilities sum to 1 over the same texts. A trained language model gives padding
next to nothing, so that its perplexity is the usual one.
"""

import zlib
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..data.streams import WindowStream
from ..lm.sampler import Sampler
from ..lm.scoring import next_log_probs, token_log_probs

ROWS = {"cpu": 256, "cuda": 4096}  # windows that an energy reads at once

# (windows (W, n, T), how many tokens at the beginning the n of a row share) -> (W, n)
EnergyFunction = Callable[[Tensor, int], Tensor]


def rows_at_once(device: torch.device) -> int:
    return ROWS["cuda" if device.type == "cuda" else "cpu"]


@dataclass(frozen=True)
class Joint:
    """``right_to_left``: the language model reads windows backwards; energies read text."""

    model: Any  # fairseq's language model
    sampler: Sampler
    energy: Optional[EnergyFunction] = None  # None: the language model alone
    right_to_left: bool = False

    @property
    def device(self) -> torch.device:
        return self.sampler.device

    def reading_order(self, windows: Tensor) -> Tensor:
        """Text (..., T) as the language model reads it; and back."""
        return windows.flip(-1) if self.right_to_left else windows

    def token_log_probs(self, windows: Tensor, prefix_length: int) -> Tensor:
        """log P_LM (W, T - p), float64, of windows (W, T) in reading order."""
        return token_log_probs(self.model, windows, prefix_length, without_padding=True).double()

    def scores(self, text: Tensor, window: int) -> Tensor:
        """log P_LM (T,), float64, of every token of a text (T,) in reading order. If that is longer
        than a window, each token beyond the first one is given half a window or more."""
        parts, step = [self.token_log_probs(text[None, :window], 0)[0]], max(1, window // 2)
        for start in range(window, len(text), step):
            end = min(start + step, len(text))
            last = text[max(0, end - window) : end]
            parts.append(self.token_log_probs(last[None], len(last) - (end - start))[0])
        return torch.cat(parts)

    def next_symbols(self, prefix: Tensor) -> Tuple[Tensor, Tensor]:
        """log P_LM, float64, of every symbol but padding after a prefix (p,), and the symbols."""
        log_p = next_log_probs(self.model, prefix.unsqueeze(0))[0].double()
        symbols = torch.arange(len(log_p))
        keep = symbols != self.sampler.pad
        return log_p[keep], symbols[keep]

    @torch.inference_mode()
    def energies(self, windows: Tensor, shared: int) -> Tensor:
        """E (W, n), float64, on the CPU, of (W, n, T) in reading order; without an energy, 0."""
        if self.energy is None:
            return torch.zeros(windows.shape[:2], dtype=torch.float64)
        text = self.reading_order(windows)
        known = 0 if self.right_to_left else shared
        rows = max(1, rows_at_once(self.device) // len(text))
        split = text.split(rows, dim=1)
        parts = [self.energy(part.to(self.device), known).double().cpu() for part in split]
        return torch.cat(parts, dim=1)

    def of_prefix(self, prefixes: Tensor) -> Tensor:
        """The part of E (W,), float64, that is the same for all that follows prefixes (W, p)."""
        of_prefix = getattr(self.energy, "of_prefix", None)
        if of_prefix is None:
            return torch.zeros(len(prefixes), dtype=torch.float64)
        found: Tensor = of_prefix(prefixes.to(self.device))
        return found

    def pool(self, prefixes: Tensor, samples: int, length: int, streams: "Streams") -> Tensor:
        """E (W, n), float64, of n continuations of ``length`` tokens of each prefix (W, p).

        Samples are drawn, judged and forgotten chunk by chunk: only their energies remain.
        """
        return torch.cat(list(self.pool_parts(prefixes, samples, length, streams)), dim=1)

    def pool_parts(
        self, prefixes: Tensor, samples: int, length: int, streams: "Streams"
    ) -> Iterator[Tensor]:
        """The same, chunk by chunk."""
        own = streams.of(prefixes.size(1))
        for chunk in self.sampler.chunks(prefixes, samples, length, own):
            shared = prefixes.unsqueeze(1).expand(-1, chunk.tokens.size(1), -1)
            windows = torch.cat([shared, chunk.tokens], dim=2)
            yield self.energies(windows, prefixes.size(1))


def number_of(tokens: Tensor) -> int:
    """Each prompt that is no window of a text has random numbers of its own."""
    return zlib.crc32(tokens.numpy().tobytes())


@dataclass(frozen=True)
class Streams:
    """The random numbers of some windows' pools, one stream for each prefix length."""

    seed: int
    subset: str
    numbers: Sequence[int]
    purpose: str = "pool"

    def of(self, prefix_length: int) -> List[WindowStream]:
        purpose = f"{self.purpose}-{prefix_length}"
        return [WindowStream(self.seed, self.subset, int(n), purpose) for n in self.numbers]
