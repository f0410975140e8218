"""Hugging Face models, stepped by many samples that share their prefix, which is kept once.

The m samples of a prefix pass through the model as m positions of one sequence, all at the same
place of the text. What makes samples of them is attention: our own, by transformers' attention
interface, in which each sample sees the prefix's keys and values and those that it added itself.
Both come from our own cache, by transformers' cache interface; all else is the model's own. A model
that does not go through these two, or does more with them, is found out by a trial.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Dict, List, NamedTuple, Tuple, Union

import torch
from torch import Tensor
from transformers import modeling_utils
from transformers.cache_utils import Cache

from .copied_cache import CopiedCacheStepper, RereadingStepper
from .hugging_face import HuggingFaceDecoder

NAME = "fairseq_ebm_shared_prefix"  # of our attention
FUNCTIONS = "ALL_ATTENTION_FUNCTIONS"  # of transformers, from 4.48 on
CLOSE = {8: 1e-6, 4: 1e-4, 2: 0.05}  # shares of the largest feature, by bytes of a number
TRIAL = (5, 3, 3)  # tokens of a prefix, samples of it, steps


def stepper_of(decoder: HuggingFaceDecoder) -> Any:
    """The fastest that gives what the model itself gives."""
    kind = type(decoder.model).__name__
    if hasattr(modeling_utils, FUNCTIONS):
        getattr(modeling_utils, FUNCTIONS)[NAME] = attend
        if _is_right(SharedPrefixStepper(decoder)):
            return SharedPrefixStepper(decoder)
    if _is_right(CopiedCacheStepper(decoder)):
        _say_slower(f"{kind}: what it keeps of a prefix is copied for each of its samples")
        return CopiedCacheStepper(decoder)
    _say_slower(f"{kind}: what it keeps of a prefix is of no use for samples of it")
    return RereadingStepper(decoder)


def _say_slower(why: str) -> None:
    warnings.warn(f"{why}: drawing takes longer than with GPT-2's or Llama's kind", stacklevel=3)


@torch.inference_mode()
def _is_right(stepper: Any) -> bool:
    decoder, (length, m, steps) = stepper.decoder, TRIAL
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(4, len(decoder.dictionary), (m, length + steps), generator=generator)
    tokens[:, :length] = tokens[:1, :length]
    tokens = tokens.to(decoder.device)
    try:
        samples = stepper.begin(stepper.prefill(tokens[:1, :length]), m, steps)
        found = [samples.step(tokens[:, length + t]) for t in range(steps)]
    except Exception:
        return False
    found_at_once = torch.stack(found, dim=1).float()
    expected = decoder.extract_features(tokens)[0][:, length:].float()
    error = (found_at_once - expected).abs().max() / expected.abs().max()
    return bool(error < CLOSE[decoder.bytes_a_number])


class Kept(NamedTuple):
    """Keys or values of one layer: of W prefixes (W, h, S, d) and of their m samples, as far as
    these have come (W, h, m, t, d)."""

    of_prefix: Tensor
    own: Tensor


class Prefixes(NamedTuple):
    layers: List[Tuple[Tensor, Tensor]]  # keys and values (W, h, S, d)
    features: Tensor  # (W, d) at the last position
    length: int


def attend(
    module: Any, query: Tensor, key: Kept, value: Kept, attention_mask: Any, **more: Any
) -> Tuple[Tensor, None]:
    """Queries (W, H, m, d) of one position of m samples -> (W, m, H, d).

    H is a multiple of h: g neighbouring heads share their keys and values. ``more``: by the names
    of transformers, ``scaling`` of scores, ``softcap`` of them, a ``sliding_window`` of sight, and
    ``s_aux``, scores (H,) of a place where nothing is.
    """
    windows, heads, m, width = query.shape
    h, window, scaling = key.of_prefix.size(1), more.get("sliding_window"), more.get("scaling")
    total = key.of_prefix.size(2) + key.own.size(3)
    if window and window < total:
        key, value = (_last(kept, window) for kept in (key, value))
    grouped = query.view(windows, h, heads // h, m, width)  # (W, h, g, m, d)
    grouped = grouped * (width**-0.5 if scaling is None else scaling)
    scores = torch.cat([_on_prefix(grouped, key), _on_own(grouped, key)], dim=-1)
    if more.get("softcap"):
        scores = more["softcap"] * torch.tanh(scores / more["softcap"])
    if more.get("s_aux") is not None:
        nowhere = more["s_aux"].view(h, heads // h, 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, nowhere.to(scores)], dim=-1)
    shares = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query)  # (W, h, g, m, S + t)
    length, t = key.of_prefix.size(2), key.own.size(3)
    of_prefix, own, *_ = shares.split([length, t, shares.size(-1) - length - t], dim=-1)
    attended = torch.matmul(of_prefix.flatten(2, 3), value.of_prefix).unflatten(2, (-1, m))
    attended = attended + torch.matmul(own.transpose(2, 3), value.own).transpose(2, 3)
    return attended.flatten(1, 2).transpose(1, 2).contiguous(), None


def _on_prefix(grouped: Tensor, key: Kept) -> Tensor:
    """(W, h, g, m, d) -> scores (W, h, g, m, S)"""
    scores = torch.matmul(grouped.flatten(2, 3), key.of_prefix.transpose(2, 3))
    return scores.unflatten(2, grouped.shape[2:4])


def _on_own(grouped: Tensor, key: Kept) -> Tensor:
    """(W, h, g, m, d) -> scores (W, h, g, m, t)"""
    return torch.matmul(grouped.transpose(2, 3), key.own.transpose(3, 4)).transpose(2, 3)


def _last(kept: Kept, places: int) -> Kept:
    """The ``places`` last of both together."""
    of_prefix = max(0, places - kept.own.size(3))
    first = kept.of_prefix.size(2) - of_prefix
    return Kept(kept.of_prefix[:, :, first:], kept.own[:, :, :, -places:])


class SharedPrefixStepper:
    """The interface of ``TransformerStepper``."""

    def __init__(self, decoder: HuggingFaceDecoder) -> None:
        self.decoder = decoder

    def prefill(self, inputs: Tensor) -> Prefixes:
        cache, ids = Recorded(), self.decoder.read_as(inputs)
        features, _ = self.decoder.run(ids, cache, use_cache=True)
        layers = [cache.layers_seen[i] for i in range(len(cache.layers_seen))]
        return Prefixes(layers, features[:, -1], inputs.size(1))

    def begin(self, prefix: Prefixes, samples: int, steps: int) -> "SharedPrefixSamples":
        return SharedPrefixSamples(self.decoder, prefix, samples, max(steps, 1))

    def scores(self, features: Tensor) -> Tensor:
        return self.decoder.output_layer(features)

    def bytes_per_row(self, steps: int) -> int:
        """Keys and values of a sample's own, logits, and what drawing computes from them."""
        keys = self._width_of_keys() * steps * self.decoder.bytes_a_number
        return 2 * keys + 5 * 4 * len(self.decoder.dictionary)

    def _width_of_keys(self) -> int:
        """Of all layers together."""
        inputs = torch.full((1, 1), self.decoder.dictionary.eos(), device=self.decoder.device)
        return sum(keys.size(1) * keys.size(3) for keys, _ in self.prefill(inputs).layers)


class SharedPrefixSamples:
    """R = W * m samples in progress."""

    def __init__(self, decoder: HuggingFaceDecoder, prefix: Prefixes, m: int, steps: int) -> None:
        self.decoder, self.prefix, self.m = decoder, prefix, m
        self._cache = Shared(prefix, steps)

    def step(self, tokens: Tensor) -> Tensor:
        """The next token of each sample (R,) -> features (R, d) that predict the one after it."""
        at = self.prefix.length + self._cache.t
        ids = self.decoder.read_as(tokens.view(-1, self.m))
        with _our_attention(self.decoder.model):
            places = torch.full_like(ids, at)
            features, _ = self.decoder.run(ids, self._cache, position_ids=places, use_cache=True)
        self._cache.t += 1
        return features.flatten(0, 1)


class Recorded(Cache):
    """Keys and values as they were given, of sequences read at once."""

    def __init__(self) -> None:
        self.layers: List[Any] = []  # which the newest transformers looks for
        self.layers_seen: Dict[int, Tuple[Tensor, Tensor]] = {}

    def update(  # type: ignore[override]
        self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any
    ) -> Tuple[Tensor, Tensor]:
        self.layers_seen[layer] = (key, value)
        return key, value

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        return 0

    def get_mask_sizes(  # type: ignore[override]
        self, queries: Union[int, Tensor], *_: Any, **__: Any
    ) -> Tuple[int, int]:
        return _count(queries), 0


class Shared(Cache):
    """Gives attention the prefix's keys and values beside those of the samples, of which up to
    ``steps`` have room; ``t`` of them are done."""

    def __init__(self, prefix: Prefixes, steps: int) -> None:
        self.layers: List[Any] = []
        self.prefix, self.steps, self.t = prefix, steps, 0
        self.own: Dict[int, Tuple[Tensor, Tensor]] = {}

    def update(  # type: ignore[override]
        self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any
    ) -> Tuple[Kept, Kept]:
        """Keys and values (W, h, m, d) of this step."""
        if layer not in self.own:
            shapes = ((*each.shape[:3], self.steps, each.size(3)) for each in (key, value))
            first, second = (key.new_empty(shape) for shape in shapes)
            self.own[layer] = (first, second)
        kept = []
        for new, own, before in zip((key, value), self.own[layer], self.prefix.layers[layer]):
            own[:, :, :, self.t] = new
            kept.append(Kept(before, own[:, :, :, : self.t + 1]))
        return kept[0], kept[1]

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        return self.prefix.length + self.t

    def get_mask_sizes(  # type: ignore[override]
        self, queries: Union[int, Tensor], *_: Any, **__: Any
    ) -> Tuple[int, int]:
        return self.get_seq_length() + _count(queries), 0


def _count(queries: Union[int, Tensor]) -> int:
    """Older versions of transformers give the queries' places instead of their number."""
    return queries if isinstance(queries, int) else len(queries)


@contextmanager
def _our_attention(model: Any) -> Iterator[None]:
    configs = {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}.values()
    before = [config._attn_implementation for config in configs]
    try:
        for config in configs:
            config._attn_implementation = NAME
        yield
    finally:
        for config, name in zip(configs, before):
            config._attn_implementation = name
