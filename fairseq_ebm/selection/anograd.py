"""``anograd``: weights whose step points where the specific loss falls, whatever its length.

    ω = softmax(s) on B', N its tokens      u = Σ_x ω_x ∇ℓ_x / N      g = ∇L(specific; θ)
    α minimises J = −⟨u, g⟩ / (‖u‖ + 1e-6),  ‖u‖ = √⟨u, M u⟩,  M = 1 or the Hessian of L(specific)
    ∇_α J = Σ_x ∂ω_x/∂α ⟨∇ℓ_x / N, ∂J/∂u⟩

A factor of ω changes nothing in J, so there is none to learn."""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor

from ..lm.directional import lengths_of
from ..models.energy import EnergyModel
from ..numerics.selection import alignment, alignment_gradient
from .system import Figures, Learned, Update, mean


class Anograd(Learned):
    looks_at_model = True

    def __init__(self, network: EnergyModel, lr: float, by_hessian: bool) -> None:
        super().__init__(network, lr)
        self._by_hessian = by_hessian

    def loss(self, update: Update, landscape: Any) -> Tuple[Optional[Tensor], Figures]:
        batch = update.random
        scores, lengths = self.scores(batch), lengths_of(batch, landscape.padding)
        parts = torch.softmax(scores, dim=0) * lengths / lengths.sum()  # of ∇ℓ̄ in u
        _, u = landscape.gradient(batch, parts.detach())
        specific, g = landscape.gradient(update.specific)
        metric_u = landscape.curvature(update.specific, u)[1] if self._by_hessian else u
        figures = {"specific_loss": mean(specific)}
        if not bool(torch.dot(u, metric_u) > 0):  # the loss bends down along u: no norm
            return None, {**figures, "without_norm": 1.0}
        q = landscape.along(batch, alignment_gradient(u, g, metric_u))
        figures["without_norm"] = 0.0
        return torch.dot(parts, q), {**figures, "alignment": float(alignment(u, g, metric_u))}
