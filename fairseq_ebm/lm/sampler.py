"""Samples of fixed length from a base language model, with their log-probabilities."""

import copy
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, List, NamedTuple, Optional

import torch
from fairseq.models import FairseqLanguageModel
from torch import Tensor

from ..data.streams import WindowStream
from ..errors import OptionError, UserError
from ..numerics.drawing import UNTRUNCATED, SymbolDraws, Truncation, draw
from . import layers, transformer
from .hugging_face import HuggingFaceDecoder
from .incremental import IncrementalStepper
from .product import ProductDecoder, ProductStepper

Stepper = Any  # of this package's, which all have the interface of ``TransformerStepper``

ROWS = {"cpu": 1024, "cuda": 16384}  # the most samples drawn at once ...
BYTES = {"cpu": 1 << 30, "cuda": 24 << 30}  # ... and the most that their caches and logits take


class LMSamples(NamedTuple):
    """Continuations of W prefixes, n each: tokens (W, n, L), log P_LM and log q (W, n), float64."""

    tokens: Tensor
    log_p: Tensor
    log_q: Tensor


def require_truncation(truncation: Truncation, symbols: int) -> None:
    """Refuses what cannot be drawn from a vocabulary of ``symbols``, one of them padding, which is
    never drawn."""
    top_k, top_p = truncation.top_k, truncation.top_p
    if top_k is not None and not 1 <= top_k < symbols:
        problem = "below 1" if top_k < 1 else f"above the vocabulary of {symbols - 1}"
        raise OptionError(f"{{top_k}}: {top_k} is {problem}")
    if top_p is not None and not 0 < top_p <= 1:
        raise OptionError(f"{{top_p}}: {top_p} is not above 0 and at most 1")
    if truncation.min_p is not None and not 0 < truncation.min_p <= 1:
        raise OptionError(f"{{min_p}}: {truncation.min_p} is not above 0 and at most 1")
    if not truncation.temperature > 0:
        raise OptionError(f"{{temperature}}: {truncation.temperature} is not above 0")


def stepper_of(model: Any) -> Stepper:
    """The fastest known way to step ``model``."""
    decoder = model.decoder
    if isinstance(decoder, ProductDecoder):
        return ProductStepper([stepper_of(FairseqLanguageModel(part)) for part in decoder.parts])
    if isinstance(decoder, HuggingFaceDecoder):
        from .shared_prefix import stepper_of as stepper_of_hugging_face  # noqa: PLC0415 an extra

        return stepper_of_hugging_face(decoder)
    if layers.is_supported(decoder):
        return transformer.TransformerStepper(decoder)
    return IncrementalStepper(model)


class Sampler:
    """Draws from ``model``, a fairseq language model in evaluation mode, on its own device.

    ``memory``: how many GiB samples may take while they are drawn, by default ``BYTES``; or
    ``rows``, a number of samples. Both decide how work is split, and so the last bit of results.
    """

    def __init__(
        self,
        model: Any,
        truncation: Truncation = UNTRUNCATED,
        memory: Optional[float] = None,
        rows: Optional[int] = None,
    ) -> None:
        if memory is not None and not memory > 0:
            raise OptionError(f"{{sampling_memory}}: {memory} GiB is not above 0")
        self._model, self.truncation, self._rows = model, truncation, rows
        dictionary = model.decoder.dictionary
        self.eos, self.pad = dictionary.eos(), dictionary.pad()
        self.device = next(model.parameters()).device
        self._kind = "cuda" if self.device.type == "cuda" else "cpu"
        self._bytes = BYTES[self._kind] if memory is None else int(memory * 2**30)

    @cached_property
    def stepper(self) -> Stepper:
        """Made when first needed: it holds copies of weights."""
        return stepper_of(self._model)

    def truncated(self, truncation: Truncation) -> "Sampler":
        """A sampler of the same model with another truncation."""
        other = copy.copy(self)
        other.stepper, other.truncation = self.stepper, truncation
        return other

    def rows_at_once(self, length: int) -> int:
        """How many samples to draw at once: depends on the model's shape, not on free memory, so
        that the same work is split the same way every time."""
        if self._rows is not None:
            return self._rows
        fitting = self._bytes // self.stepper.bytes_per_row(length)
        return max(1, min(ROWS[self._kind], fitting))

    def sample(
        self, prefixes: Tensor, num_samples: int, length: int, streams: Sequence[WindowStream]
    ) -> LMSamples:
        """``num_samples`` continuations, of ``length`` tokens, of each prefix (W, P).

        Prefix i uses only ``streams[i]``. Results are on the CPU.
        """
        chunks = list(self.chunks(prefixes, num_samples, length, streams))
        return LMSamples(*(torch.cat(parts, dim=1) for parts in zip(*chunks)))

    @torch.inference_mode()
    def chunks(
        self, prefixes: Tensor, num_samples: int, length: int, streams: Sequence[WindowStream]
    ) -> Iterator[LMSamples]:
        """The same, a part of every prefix's samples at a time: the pool need not fit in memory."""
        windows = prefixes.size(0)
        inputs = torch.cat([prefixes.new_full((windows, 1), self.eos), prefixes], dim=1)
        prefix = self.stepper.prefill(inputs.to(self.device))
        at_once = max(1, self.rows_at_once(length) // windows)
        for start in range(0, num_samples, at_once):
            m = min(at_once, num_samples - start)
            uniforms = torch.stack([stream.uniforms(m, length) for stream in streams])
            begun = self.stepper.begin(prefix, m, length - 1)
            drawn = self.drawn(prefix, begun, uniforms.to(self.device))
            samples = LMSamples(*(part.cpu() for part in drawn))
            self._require_numbers(samples)
            yield samples

    def _require_numbers(self, samples: LMSamples) -> None:
        if bool(samples.log_p.isnan().any()):
            problem = "the language model's logits are NaN or infinite"
            raise UserError(f"{problem}; a higher precision may help")
        if bool(samples.log_q.isnan().any()):
            words = self.truncation.in_words
            raise UserError(f"{words} leaves nothing to draw from; truncate less")

    def drawn(self, prefix: Any, samples: Any, uniforms: Tensor) -> LMSamples:
        """One chunk, on the device: ``samples`` just begun, ``uniforms`` (W, m, L), one for each
        token. A ``TransformerStepper`` asks the device for nothing."""
        windows, m, length = uniforms.shape
        # All samples of a prefix have the same distribution for their first token.
        drawn = self._draw(prefix.features, uniforms[:, :, 0])
        steps: List[SymbolDraws] = [SymbolDraws(*(part.reshape(-1) for part in drawn))]
        for t in range(1, length):
            features = samples.step(steps[-1].tokens)  # (R, d)
            drawn = self._draw(features, uniforms[:, :, t].reshape(-1, 1))
            steps.append(SymbolDraws(*(part.squeeze(1) for part in drawn)))
        tokens, *logs = (torch.stack(parts, dim=1) for parts in zip(*steps))
        log_p, log_q = (log.sum(dim=1).view(windows, m) for log in logs)
        return LMSamples(tokens.view(windows, m, length), log_p, log_q)

    def _draw(self, features: Tensor, uniforms: Tensor) -> SymbolDraws:
        return draw(self.stepper.scores(features), uniforms, self.pad, self.truncation)
