"""fairseq's transformer decoders, stepped by many samples that share their prefix.

The prefix is computed once; its keys and values are stored once, and all its samples attend to them
in one matrix product. What each sample adds goes into its own caches, allocated in full at the
start: nothing is copied, grown or reordered between steps.

Rows are samples, grouped by prefix: row = prefix * m + sample, R = W * m rows in all.
"""

from typing import Any, List, NamedTuple

import torch
from torch import Tensor

from .layers import Cache, embed, finish, layers_of, positions


class EncodedPrefix(NamedTuple):
    """What is kept of W prefixes of S inputs."""

    caches: List[Cache]  # one per layer
    features: Tensor  # (W, d) of the last position, before the output layer


class TransformerStepper:
    """Runs a decoder's own modules except attention, for which ours knows about shared prefixes."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder
        with torch.no_grad():
            self.layers = layers_of(decoder)

    def prefill(self, inputs: Tensor) -> EncodedPrefix:
        """Inputs (W, S): </s> and the prefix."""
        x = embed(self.decoder, inputs, positions(self.decoder, 0, inputs.size(1)))  # (W, S, d)
        caches = []
        for i, layer in enumerate(self.layers):
            is_last = i == len(self.layers) - 1
            x, cache = layer.prefill(x, last_position_only=is_last)
            caches.append(cache)
        return EncodedPrefix(caches, finish(self.decoder, x[:, -1]))

    def begin(self, prefix: EncodedPrefix, samples: int, steps: int) -> "TransformerSamples":
        """``samples`` (m) samples of each prefix, of at most ``steps`` further inputs."""
        return TransformerSamples(self, prefix, samples, steps)

    def scores(self, features: Tensor) -> Tensor:
        """(A, d) -> (A, V): logits, or log-probabilities of an adaptive softmax."""
        if self.decoder.adaptive_softmax is not None:
            return self.decoder.adaptive_softmax.get_log_prob(features.unsqueeze(1), None)[:, 0]
        return self.decoder.output_layer(features)

    def bytes_per_row(self, steps: int) -> int:
        weight = next(self.decoder.parameters())
        vocabulary = len(self.decoder.dictionary)
        caches = 2 * len(self.layers) * self.decoder.embed_dim * steps * weight.element_size()
        return caches + 4 * 4 * vocabulary  # logits, weights and what drawing computes from them


class TransformerSamples:
    """R = W * m samples in progress."""

    def __init__(
        self, stepper: TransformerStepper, prefix: EncodedPrefix, m: int, steps: int
    ) -> None:
        self.stepper = stepper
        self.prefix = prefix
        self.steps_taken = 0
        keys = prefix.caches[0][0]
        windows, heads, width, self._prefix_length = keys.shape
        shape = (len(stepper.layers), 2, windows * m, heads, max(steps, 1), width)
        self._own = keys.new_empty(shape)  # keys and values of each layer
        self._positions = positions(stepper.decoder, self._prefix_length, steps)  # (steps, d)

    def step(self, tokens: Tensor) -> Tensor:
        """The next token of each sample (R,) -> features (R, d) that predict the one after it."""
        decoder, t = self.stepper.decoder, self.steps_taken
        at = None if self._positions is None else self._positions[t : t + 1]
        x = embed(decoder, tokens.unsqueeze(1), at).squeeze(1)
        for layer, shared, own in zip(self.stepper.layers, self.prefix.caches, self._own):
            x = layer.step(x, shared, own, t)
        self.steps_taken += 1
        return finish(decoder, x)
