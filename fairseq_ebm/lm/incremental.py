"""Any other fairseq decoder, through its incremental state: correct but slower.

The state after a prefix is kept and copied to its samples; nothing is reordered after that.
"""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor


class CachedPrefix(NamedTuple):
    inputs: Tensor  # (W, S)
    state: Any  # incremental state after them
    features: Tensor  # (W, V): the decoder's output at the last position


class IncrementalStepper:
    """The interface of ``TransformerStepper``; "features" are the decoder's own output."""

    def __init__(self, model: Any) -> None:
        self.model, self.decoder = model, model.decoder

    def prefill(self, inputs: Tensor) -> CachedPrefix:
        """Feeds the inputs (W, S) one by one: that is how an incremental state is built."""
        state: Any = torch.jit.annotate(dict, {})
        for length in range(1, inputs.size(1) + 1):
            output = self.decoder(inputs[:, :length], incremental_state=state)
        return CachedPrefix(inputs, state, output[0][:, -1])

    def begin(self, prefix: CachedPrefix, samples: int, steps: int) -> "IncrementalSamples":
        return IncrementalSamples(self, prefix, samples)

    def scores(self, features: Tensor) -> Tensor:
        output = (features.unsqueeze(1), None)
        return self.model.get_normalized_probs(output, log_probs=True, sample=None)[:, 0]

    def bytes_per_row(self, steps: int) -> int:
        """A guess: an unknown decoder's caches are bounded by the widths of its parameters."""
        widths = sum(max(parameter.shape) for parameter in self.decoder.parameters())
        return 8 * widths * max(1, steps // 8) + 4 * 4 * len(self.decoder.dictionary)


class IncrementalSamples:
    def __init__(self, stepper: IncrementalStepper, prefix: CachedPrefix, m: int) -> None:
        self.stepper = stepper
        windows = torch.arange(prefix.inputs.size(0), device=prefix.inputs.device)
        rows = windows.repeat_interleave(m)
        self._state = copy.deepcopy(prefix.state)
        stepper.decoder.reorder_incremental_state_scripting(self._state, rows)
        self._inputs = prefix.inputs[rows]

    def step(self, tokens: Tensor) -> Tensor:
        """The next token of each sample (R,) -> the decoder's output (R, ...) after it."""
        self._inputs = torch.cat([self._inputs, tokens.unsqueeze(1)], dim=1)
        return self.stepper.decoder(self._inputs, incremental_state=self._state)[0][:, -1]
