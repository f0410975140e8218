"""How a language model's losses change along directions in the space of its weights.

θ (P,) is all that is trained, as one vector in float32. ℓ̄_x is the mean loss of the tokens of an
example x; L(B) that of all tokens of a batch B.

    q_x(d) = ⟨∇ℓ̄_x(θ), d⟩ ≈ (ℓ̄_x(θ + εd) − ℓ̄_x(θ − εd)) / 2ε        two passes forward
    H d    = ∇²L(θ) d     ≈ (∇L(θ + εd) − ∇L(θ − εd)) / 2ε            two passes there and back

No gradient of a single example is ever made, and none of a gradient: neither forward mode nor
double backward goes through all of fairseq's layers and torch's attention. ε‖d‖ is ``STEP`` for
losses: the error grows with its square, that of rounding with its inverse. For gradients it is
``SHORT``, since what a longer step switches on or off (ReLU) would count as curvature; q is then
good to a percent.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Callable, List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError

STEP, SHORT = 0.01, 0.001

Sample = Mapping[str, Any]  # a batch of fairseq's, with ``net_input`` and ``target``


def losses_by_example(model: Any, sample: Sample, padding: int) -> Tensor:
    """ℓ̄ (B,) in float32, with gradients: the mean of −log P of each example's tokens."""
    output = model(**sample["net_input"])
    log_probs = model.get_normalized_probs(output, log_probs=True)
    target = model.get_targets(sample, output)
    tokens = target.reshape(-1)
    losses = F.nll_loss(
        log_probs.flatten(0, -2).float(), tokens, ignore_index=padding, reduction="none"
    )
    return losses.view(target.shape).sum(dim=1) / lengths_of(sample, padding)


def lengths_of(sample: Sample, padding: int) -> Tensor:
    """n (B,): the tokens of each example."""
    lengths: Tensor = sample["target"].ne(padding).sum(dim=1)
    return lengths


class Landscape:
    """A copy of a model in float32 and in evaluation mode, whose weights can be put anywhere.

    The model that trains is not touched, so that nothing that wraps it, and no dropout, has a part
    in this, and it may be in half precision.
    """

    def __init__(self, model: nn.Module, padding: int) -> None:
        self.padding = padding
        model = unwrapped(model)
        require_losses(model)
        self._model = copy_of(model).float().eval()
        trained = [p for p in self._model.parameters() if p.requires_grad]
        at, grad = (torch.zeros(sum(p.numel() for p in trained)).to(trained[0]) for _ in range(2))
        self._at, self._grad = at.float(), grad.float()
        position = 0
        for parameter in trained:
            place = slice(position, position + parameter.numel())
            parameter.data = self._at[place].view_as(parameter)
            parameter.grad = self._grad[place].view_as(parameter)
            position = place.stop
        self.follow(model)

    def follow(self, model: nn.Module) -> None:
        """Takes θ from ``model``, and whatever it keeps beside its weights."""
        model = unwrapped(model)
        with torch.no_grad():
            for here, there in zip(self._model.parameters(), model.parameters()):
                here.copy_(there)
            for kept, now in zip(self._model.buffers(), model.buffers()):
                if kept.shape == now.shape:  # else a table that grows with what is read
                    kept.copy_(now)
        self.theta = self._at.clone()

    def losses(self, sample: Sample, at: Optional[Tensor] = None) -> Tensor:
        """ℓ̄ (B,) at some θ (default: the model's)."""
        self._at.copy_(self.theta if at is None else at)
        with torch.no_grad():
            return losses_by_example(self._model, sample, self.padding)

    def gradient(
        self, sample: Sample, weights: Optional[Tensor] = None, at: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor]:
        """ℓ̄ (B,) and the gradient (P,) of Σ_x w_x ℓ̄_x for ``weights`` (B,); by default of L(B)."""
        self._at.copy_(self.theta if at is None else at)
        self._grad.zero_()
        losses = losses_by_example(self._model, sample, self.padding)
        if weights is None:
            lengths = lengths_of(sample, self.padding).to(losses)
            weights = lengths / lengths.sum()
        torch.dot(losses, weights).backward()
        return losses.detach(), self._grad.clone()

    def along(self, sample: Sample, direction: Tensor) -> Tensor:
        """q (B,) of the examples for a direction d (P,)."""
        return self._difference(direction, STEP, lambda at: [self.losses(sample, at)])[0]

    def curvature(self, sample: Sample, direction: Tensor) -> Tuple[Tensor, Tensor]:
        """q (B,) and H d (P,), H of L(B), from the same passes."""
        q, product = self._difference(
            direction, SHORT, lambda at: list(self.gradient(sample, at=at))
        )
        return q, product

    def _difference(
        self, direction: Tensor, length: float, values: Callable[[Tensor], List[Tensor]]
    ) -> List[Tensor]:
        norm = direction.norm()
        if not bool(norm > 0):
            return [torch.zeros_like(value) for value in values(self.theta)]
        step = length / norm
        ahead = values(self.theta + step * direction)
        behind = values(self.theta - step * direction)
        return [(a - b) / (2 * step) for a, b in zip(ahead, behind)]


def require_losses(model: nn.Module) -> None:
    """Refuses a model whose ``losses_by_example`` are not to be had."""
    if getattr(getattr(model, "decoder", None), "adaptive_softmax", None) is not None:
        raise UserError("adaptive softmax: its losses cannot be looked at; train without it")


def copy_of(model: nn.Module) -> nn.Module:
    """What a module has computed from its weights (weight norm) is copied as what it is now."""
    kept = [each for module in model.modules() for each in vars(module).values()]
    computed = [each for each in kept if isinstance(each, Tensor) and not each.is_leaf]
    return deepcopy(model, {id(each): each.detach().clone() for each in computed})


def unwrapped(model: Any) -> Any:
    """Without what distributes it over processes."""
    while isinstance(getattr(model, "module", None), nn.Module):
        model = model.module
    return model
