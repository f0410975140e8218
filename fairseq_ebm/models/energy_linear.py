"""``energy_linear``: E(x) = Σ_i u(x_i), with one number u for each symbol of the vocabulary."""

from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models import register_model
from torch import Tensor, nn

from .energy import EnergyConfig, EnergyModel


@register_model("energy_linear", dataclass=EnergyConfig)
class LinearEnergy(EnergyModel):
    """A sum, not a mean: it grows with the length of the window."""

    def __init__(self, cfg: Any, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary)
        self.weights = nn.Embedding(len(dictionary), 1, padding_idx=self.padding)
        nn.init.zeros_(self.weights.weight)

    def of_windows(self, tokens: Tensor) -> Tensor:
        terms = self.weights(tokens).squeeze(-1)
        return terms.masked_fill(tokens == self.padding, 0.0).sum(dim=1, dtype=torch.float32)

    def token_embedding(self) -> nn.Embedding:
        return self.weights
