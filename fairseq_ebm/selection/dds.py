"""``dds``: weights by one step of look-ahead.

    θ'(α) = θ − η ∇Σ_x w_x(α) ℓ̄_x(θ), x ∈ B'       α minimises L(specific; θ'(α))
    ∇_α = −η Σ_x ∂w_x/∂α ⟨∇ℓ̄_x(θ), ∇L(specific; θ')⟩

η = 0 is the limit: θ' = θ, and a factor of 1."""

from typing import Any, Tuple

import torch
from torch import Tensor

from ..lm.directional import lengths_of
from ..models.energy import EnergyModel
from ..numerics.selection import token_weights
from .system import Figures, Learned, Update, mean


class DDS(Learned):
    looks_at_model = True

    def __init__(self, network: EnergyModel, lr: float, ahead: float) -> None:
        super().__init__(network, lr)
        self._ahead = ahead

    def loss(self, update: Update, landscape: Any) -> Tuple[Tensor, Figures]:
        batch = update.random
        weights = token_weights(self.scores(batch), lengths_of(batch, landscape.padding))
        at = landscape.theta
        if self._ahead:
            at = at - self._ahead * landscape.gradient(batch, weights.detach())[1]
        specific, towards = landscape.gradient(update.specific, at=at)
        q = landscape.along(batch, towards)
        return -(self._ahead or 1.0) * torch.dot(weights, q), {"specific_loss": mean(specific)}
