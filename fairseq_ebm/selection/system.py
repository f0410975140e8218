"""What a system of selection is: scores of generic examples, and how these are learnt."""

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from ..lm.directional import Landscape
from ..models.energy import EnergyModel
from ..numerics.selection import top, without_replacement
from .blocks import Sample, texts_of
from .processes import mean_over_those, require_same

Figures = Dict[str, float]


@dataclass(frozen=True)
class Update:
    """What there is to learn from when the language model has made its step."""

    scores: Tensor  # (B,) of what was chosen from, with their graph if the system asked for it
    filtered: Sample  # what was chosen
    random: Sample  # B', as many of the same, drawn without looking at scores
    specific: Sample


class System:
    """Every example is equally good."""

    takes_highest = False  # or draws without replacement, each in proportion to exp(s)
    learns = False
    looks_at_model = False
    keeps_graph = False  # whether ``learn`` wants gradients of the scores that chose
    specific_weight = 0.0  # of the specific text in the language model's own loss

    def scores(self, sample: Sample) -> Tensor:
        """s (B,)"""
        return torch.zeros(sample["nsentences"], device=sample["target"].device)

    def choose(self, scores: Tensor, size: int, uniforms: Tensor) -> Tensor:
        """Rows, ascending; ``uniforms`` (B,)."""
        if self.takes_highest:
            return top(scores.detach(), size)
        return without_replacement(scores.detach(), size, uniforms.to(scores.device))

    def learn(self, update: Optional[Update], landscape: Optional[Landscape], lr: float) -> Figures:
        """All processes call it together, with no ``update`` if they had no text. ``landscape``: at
        the new θ, for systems that look at the model; ``lr``: the model's learning rate."""
        return {}

    def to(self, device: torch.device) -> None:
        pass

    def state(self) -> Dict[str, Any]:
        """Tensors and plain containers: what ``restore`` goes on from."""
        return {}

    def restore(self, state: Dict[str, Any]) -> None:
        pass


class Learned(System):
    """Scores by a weighting network, an energy of this package: s = −E."""

    learns = True

    def __init__(self, network: EnergyModel, lr: float) -> None:
        self.network = network.eval()  # no dropout: scores that chose are scores that learn
        self._adam = torch.optim.Adam(network.parameters(), lr=lr)

    def scores(self, sample: Sample) -> Tensor:
        return -self.network.energy(texts_of(sample))

    def loss(self, update: Update, landscape: Any) -> Tuple[Optional[Tensor], Figures]:
        """What α minimises, or has the gradient of it; None: there is nothing to learn."""
        raise NotImplementedError

    def learn(self, update: Optional[Update], landscape: Optional[Landscape], lr: float) -> Figures:
        self._adam.zero_grad()
        figures: Figures = {}
        loss: Optional[Tensor] = None
        if update is not None:
            loss, figures = self.loss(update, landscape)
        if loss is not None:
            loss.backward()
            figures["objective"] = float(loss.detach())
        gradients = [gradient_of(parameter) for parameter in self.network.parameters()]
        if mean_over_those(gradients, loss is not None):
            self._adam.step()
            require_same([parameter.detach() for parameter in self.network.parameters()])
        return figures

    def to(self, device: torch.device) -> None:
        self.network.to(device)

    def state(self) -> Dict[str, Any]:
        return {"weighting": self.network.state_dict(), "adam": self._adam.state_dict()}

    def restore(self, state: Dict[str, Any]) -> None:
        self.network.load_state_dict(state["weighting"])
        self._adam.load_state_dict(state["adam"])


def gradient_of(parameter: Union[nn.Parameter, Tensor]) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def mean(losses: Tensor) -> float:
    return float(losses.detach().mean())
