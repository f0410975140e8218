"""``cds`` and ``energy``: scores that are there before training begins, and stay.

``cds``, contrastive data selection: by how much a language model's loss falls when it is fine-tuned
on the specific text, −Δ_x = ℓ̄(x; θ_0) − ℓ̄(x; θ_1); the highest are taken.

``energy``: −E of an energy. Trained on specific text as real and generic text as generated, it is
the logarithm of the ratio of their densities: examples drawn in proportion to exp(−E) are as if
they were of the specific text."""

import numpy as np
import torch
from torch import Tensor

from ..models.energy import EnergyModel
from .blocks import Sample, texts_of
from .system import System


class Scored(System):
    """``values`` (N,): of all examples of the generic text."""

    def __init__(self, values: np.ndarray, takes_highest: bool) -> None:
        self._values, self.takes_highest = values, takes_highest

    def scores(self, sample: Sample) -> Tensor:
        found = torch.from_numpy(self._values[sample["id"].cpu().numpy()])
        return found.to(sample["target"].device)


class Energy(System):
    def __init__(self, model: EnergyModel) -> None:
        self._model = model.eval()

    @torch.no_grad()
    def scores(self, sample: Sample) -> Tensor:
        return -self._model.energy(texts_of(sample))

    def to(self, device: torch.device) -> None:
        self._model.to(device)
