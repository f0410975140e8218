"""What all energies share: windows in, one number a window out; low means real."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Mapping

import torch
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.models import BaseFairseqModel
from torch import Tensor, nn

from ..errors import UserError

POOLING = ("mean", "first", "last")


@dataclass
class PooledEnergyConfig(FairseqDataclass):
    energy_pooling: ChoiceEnum(POOLING) = field(  # type: ignore[valid-type]
        default="mean",
        metadata={
            "help": "features that are projected to the energy: the mean over all positions, those "
            "of the first, or those of the last; padding never counts"
        },
    )


class EnergyModel(BaseFairseqModel):
    """``model(windows)`` is ``(B, M)`` for ``windows (B, M, T)``, padded at the end.

    The M windows in a row may begin with the same ``shared`` tokens: an energy that can make use of
    that does, and any other need not. A checkpoint knows the symbols that it was trained with.
    """

    def __init__(self, dictionary: Dictionary) -> None:
        super().__init__()
        self.padding = dictionary.pad()
        self.register_buffer("symbols", _digest(dictionary))

    def forward(self, windows: Tensor, shared: int = 0) -> Tensor:
        return self.energy(windows.flatten(0, 1)).view(windows.shape[:2])

    def energy(self, tokens: Tensor) -> Tensor:
        """(N, T) -> (N,)"""
        raise NotImplementedError

    def max_positions(self) -> int:
        """The longest window that it can read."""
        return 1 << 30  # any, unless a family says otherwise

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        theirs = state_dict.get("symbols")
        if theirs is not None and not torch.equal(theirs.cpu(), self.symbols.cpu()):
            raise UserError("the energy was trained with another dictionary")
        return super().load_state_dict(state_dict, *args, **kwargs)


def _digest(dictionary: Dictionary) -> Tensor:
    """Of the symbols in their order: (8,) numbers of 32 bits, which averaging leaves alone."""
    digest = hashlib.sha256("\n".join(dictionary.symbols).encode()).digest()
    return torch.tensor([int.from_bytes(digest[i : i + 4], "big") for i in range(0, 32, 4)])


class EnergyHead(nn.Module):
    """Features -> energies: one position, or the mean of all, projected to a number.

    It starts at zero, so that training starts from the base LM itself: E = 0, Z = 1.
    """

    def __init__(self, width: int, pooling: Any) -> None:
        super().__init__()
        self.pooling = str(pooling)
        self.projection = nn.Linear(width, 1)
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, features: Tensor, is_token: Tensor) -> Tensor:
        """Features (N, S, d), of which ``is_token`` (N, S) are not padding -> (N,)"""
        return self.project(self.pool(features, is_token))

    def pool(self, features: Tensor, is_token: Tensor) -> Tensor:
        """(N, S, d), (N, S) -> (N, d)"""
        if self.pooling == "first":
            return features[:, 0]
        if self.pooling == "last":
            last = is_token.sum(dim=1) - 1
            return features[torch.arange(len(features), device=last.device), last]
        return self.mean(self.total(features, is_token), is_token.sum(dim=1))

    def total(self, features: Tensor, is_token: Tensor) -> Tensor:
        """Sum over positions (N, d) in float32; padding may hold anything, even NaN."""
        return features.masked_fill(~is_token.unsqueeze(-1), 0.0).sum(dim=1, dtype=torch.float32)

    def mean(self, total: Tensor, length: Tensor) -> Tensor:
        return (total / length.unsqueeze(-1)).to(self.projection.weight)

    def project(self, pooled: Tensor) -> Tensor:
        """(..., d) -> (...)"""
        return self.projection(pooled).squeeze(-1)
