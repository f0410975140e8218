"""The normalised product of two language models, symbol by symbol; the first one is frozen.

    log P(v|x) = log P_base(v|x) + log P_residual(v|x) - log Σ_u P_base(u|x) P_residual(u|x)

Logits serve as log-probabilities here: they differ by the same constant for all symbols.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from fairseq.models import FairseqDecoder, FairseqIncrementalDecoder
from fairseq.models.transformer import TransformerDecoderBase
from torch import Tensor, nn


class Frozen(nn.Module):
    """A decoder that never changes: without dropout, gradients or loss of precision."""

    def __init__(self, decoder: FairseqDecoder) -> None:
        super().__init__()
        self.decoder = decoder.float().eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "Frozen":
        return super().train(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> "Frozen":
        """Moves to other devices as ``fn`` does, but stays float32: training in half precision
        would save other weights in checkpoints than those that were loaded."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(fn(tensor.new_empty(0)).device)

        return super()._apply(move, *args, **kwargs)


class ProductDecoder(FairseqIncrementalDecoder):
    """Its features are those of the base (b) and of the residual (r), concatenated."""

    def __init__(self, base: FairseqDecoder, residual: TransformerDecoderBase) -> None:
        super().__init__(residual.dictionary)
        self.frozen = Frozen(base)
        self.residual = residual

    @property
    def parts(self) -> Tuple[FairseqDecoder, TransformerDecoderBase]:
        return self.frozen.decoder, self.residual

    def forward(self, prev_output_tokens: Tensor, *args: Any, **more: Any) -> Tuple[Tensor, None]:
        """(B, T) -> logits (B, T, V), or (B, 1, V) with an incremental state."""
        features, _ = self.extract_features(prev_output_tokens, *args, **more)
        return self.output_layer(features), None

    def extract_features(
        self,
        prev_output_tokens: Tensor,
        encoder_out: None = None,
        incremental_state: Optional[Dict[str, Any]] = None,
        **unused: Any,
    ) -> Tuple[Tensor, None]:
        """(B, T) -> (B, T, b + r)"""
        base, residual = self.parts
        with torch.no_grad():
            b = _features(base, prev_output_tokens, incremental_state)
        r = _features(residual, prev_output_tokens, incremental_state)
        return torch.cat([b, r.to(b.dtype)], dim=-1), None

    def output_layer(self, features: Tensor, **unused: Any) -> Tensor:
        """(B, T, b + r) -> (B, T, V), float32"""
        base, residual = self.parts
        width = residual.output_embed_dim
        b, r = features.split([features.size(-1) - width, width], dim=-1)
        with torch.no_grad():
            scores = _scores(base, b)
        return scores + _scores(residual, r.to(next(residual.parameters()).dtype))

    def max_positions(self) -> Any:
        """How many tokens both can read: infinite for some of fairseq's decoders."""
        return min(part.max_positions() for part in self.parts)


def _features(decoder: Any, tokens: Tensor, state: Optional[Dict[str, Any]]) -> Tensor:
    """What ``_scores`` needs: for a decoder unknown to us, its output."""
    if isinstance(decoder, TransformerDecoderBase):
        return decoder.extract_features(tokens, None, incremental_state=state)[0]
    return decoder(tokens, incremental_state=state)[0]


def _scores(decoder: Any, features: Tensor) -> Tensor:
    """Features (B, T, d) -> (B, T, V), float32: logits, or log P of an adaptive softmax."""
    if isinstance(decoder, TransformerDecoderBase):
        features = decoder.output_layer(features)
    if decoder.adaptive_softmax is not None:
        features = decoder.get_normalized_probs((features, None), log_probs=True)
    return features.float()


class ProductPrefix(NamedTuple):
    parts: List[Any]
    features: List[Tensor]  # of each part


class ProductStepper:
    """The interface of ``TransformerStepper``; each part has the stepper that suits it."""

    def __init__(self, steppers: Sequence[Any]) -> None:
        self.steppers = steppers

    def prefill(self, inputs: Tensor) -> ProductPrefix:
        parts = [stepper.prefill(inputs) for stepper in self.steppers]
        return ProductPrefix(parts, [part.features for part in parts])

    def begin(self, prefix: ProductPrefix, samples: int, steps: int) -> "ProductSamples":
        pairs = zip(self.steppers, prefix.parts)
        return ProductSamples([stepper.begin(part, samples, steps) for stepper, part in pairs])

    def scores(self, features: Sequence[Tensor]) -> Tensor:
        base, residual = (s.scores(f).float() for s, f in zip(self.steppers, features))
        return base + residual

    def bytes_per_row(self, steps: int) -> int:
        return sum(stepper.bytes_per_row(steps) for stepper in self.steppers)


class ProductSamples:
    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = parts

    def step(self, tokens: Tensor) -> List[Tensor]:
        return [part.step(tokens) for part in self.parts]
