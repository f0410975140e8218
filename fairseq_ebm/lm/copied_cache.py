"""Other Hugging Face models, through what they themselves keep of a prefix: correct but slower.

It is copied to each of the prefix's samples; where it is of no use, samples are read from their
beginning at every step.
"""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .hugging_face import HuggingFaceDecoder


class CopiedPrefix(NamedTuple):
    ids: Tensor  # (W, S), in the model's own symbols
    cache: Any  # after them
    features: Tensor  # (W, d) at the last position


class CopiedCacheStepper:
    """The interface of ``TransformerStepper``."""

    def __init__(self, decoder: HuggingFaceDecoder) -> None:
        self.decoder = decoder

    def prefill(self, inputs: Tensor) -> CopiedPrefix:
        ids = self.decoder.read_as(inputs)
        features, cache = self.decoder.run(ids, use_cache=True)
        return CopiedPrefix(ids, cache, features[:, -1])

    def begin(self, prefix: CopiedPrefix, samples: int, steps: int) -> Any:
        return CopiedCacheSamples(self.decoder, prefix, samples)

    def scores(self, features: Tensor) -> Tensor:
        return self.decoder.output_layer(features)

    def bytes_per_row(self, steps: int) -> int:
        """A guess: as for a prefix three times as long as what is drawn, and copied at a step."""
        config = self.decoder.model.config
        widths = getattr(config, "num_hidden_layers", 12) * getattr(config, "hidden_size", 1024)
        keys = 2 * 2 * widths * 4 * max(1, steps) * self.decoder.bytes_a_number
        return keys + 5 * 4 * len(self.decoder.dictionary)


class RereadingStepper(CopiedCacheStepper):
    def prefill(self, inputs: Tensor) -> CopiedPrefix:
        ids = self.decoder.read_as(inputs)
        return CopiedPrefix(ids, None, self.decoder.run(ids, use_cache=False)[0][:, -1])

    def begin(self, prefix: CopiedPrefix, samples: int, steps: int) -> Any:
        return RereadSamples(self.decoder, prefix, samples)


class RereadSamples:
    """R = W * m samples in progress."""

    def __init__(self, decoder: HuggingFaceDecoder, prefix: CopiedPrefix, m: int) -> None:
        self.decoder = decoder
        self.ids = prefix.ids.repeat_interleave(m, dim=0)  # (R, S + t)

    def step(self, tokens: Tensor) -> Tensor:
        """The next token of each sample (R,) -> features (R, d) that predict the one after it."""
        new = self.decoder.read_as(tokens.unsqueeze(1))
        self.ids = torch.cat([self.ids, new], dim=1)
        return self.features(new)[:, -1]

    def features(self, new: Tensor) -> Tensor:
        return self.decoder.run(self.ids, use_cache=False)[0]


class CopiedCacheSamples(RereadSamples):
    def __init__(self, decoder: HuggingFaceDecoder, prefix: CopiedPrefix, m: int) -> None:
        super().__init__(decoder, prefix, m)
        windows = torch.arange(prefix.ids.size(0), device=prefix.ids.device)
        self._cache = _rows(copy.deepcopy(prefix.cache), windows.repeat_interleave(m))

    def features(self, new: Tensor) -> Tensor:
        mask = torch.ones_like(self.ids)
        found, self._cache = self.decoder.run(new, self._cache, attention_mask=mask, use_cache=True)
        return found


def _rows(cache: Any, rows: Tensor) -> Any:
    """Those of all tensors of a cache: an older transformers' is a tuple of tuples of tensors."""
    if isinstance(cache, tuple):
        return tuple(_rows(each, rows) for each in cache)
    if isinstance(cache, Tensor):
        return cache[rows]
    cache.reorder_cache(rows)
    return cache
