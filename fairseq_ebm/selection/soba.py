"""``soba``: the two levels of the problem solved together, by three variables that all move.

    v ← against H v + ∇L(specific; θ), H the Hessian of the loss of what was chosen: v* = −H⁻¹∇L
    ∇_α = Σ_x ∂w_x/∂α ⟨∇ℓ̄_x(θ), v⟩, x in what was chosen, w normalised there

At v* that is the gradient of L(specific; θ*(α)). ``by_hessian`` false: v moves against ∇L alone.
v has an Adam of its own, at the language model's learning rate."""

from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor

from ..lm.directional import lengths_of
from ..models.energy import EnergyModel
from ..numerics.selection import token_weights
from .processes import mean_over_those
from .system import Figures, Learned, Update, gradient_of, mean

BETAS = (0.9, 0.98)


class Soba(Learned):
    looks_at_model = True

    def __init__(self, network: EnergyModel, lr: float, by_hessian: bool, ridge: float) -> None:
        super().__init__(network, lr)
        self._by_hessian, self._ridge = by_hessian, ridge
        self._v: Optional[Tensor] = None
        self._v_adam: Optional[torch.optim.Adam] = None
        self._before: Dict[str, Any] = {}

    def loss(self, update: Update, landscape: Any) -> Tuple[Tensor, Figures]:
        """And the direction in which v is to move, as its gradient."""
        batch = update.filtered
        assert self._v is not None
        weights = token_weights(self.scores(batch), lengths_of(batch, landscape.padding))
        specific, direction = landscape.gradient(update.specific)
        if self._by_hessian:
            q, bent = landscape.curvature(batch, self._v)
            direction = (1.0 - self._ridge) * bent + self._ridge * self._v + direction
        else:
            q = landscape.along(batch, self._v)
        self._v.grad = direction
        return torch.dot(weights, q), {"specific_loss": mean(specific), "v": float(self._v.norm())}

    def learn(self, update: Optional[Update], landscape: Any, lr: float) -> Figures:
        if self._v is None:
            self._begin(torch.zeros_like(landscape.theta))
        assert self._v is not None and self._v_adam is not None
        figures = super().learn(update, landscape, lr)
        if mean_over_those([gradient_of(self._v)], update is not None):
            for group in self._v_adam.param_groups:
                group["lr"] = lr
            self._v_adam.step()
        self._v.grad = None
        return figures

    def _begin(self, v: Tensor) -> None:
        self._v = v
        self._v_adam = torch.optim.Adam([v], lr=0.0, betas=BETAS)
        if self._before:
            v.copy_(self._before["v"])
            self._v_adam.load_state_dict(self._before["v_adam"])
            self._before = {}

    def state(self) -> Dict[str, Any]:
        if self._v is None or self._v_adam is None:
            return {**super().state(), **self._before}
        return {**super().state(), "v": self._v, "v_adam": self._v_adam.state_dict()}

    def restore(self, state: Dict[str, Any]) -> None:
        super().restore(state)
        self._before = {name: state[name] for name in ("v", "v_adam") if name in state}
