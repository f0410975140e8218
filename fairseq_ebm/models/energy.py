"""What all energies share: windows in, one number per window out; low means real."""

from argparse import Namespace
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.models import BaseFairseqModel
from fairseq.models.transformer import TransformerConfig
from torch import Tensor, nn

from ..options import fairseq_flag


@dataclass
class PooledEnergyConfig(FairseqDataclass):
    energy_pooling: ChoiceEnum(("mean", "first", "last")) = fairseq_flag(
        "mean",
        "features that are projected to the energy: their mean over all positions, those of the "
        "first or those of the last; padding never counts",
    )


Activation = ChoiceEnum(utils.get_available_activation_fns())


@dataclass
class TransformerEnergyConfig(PooledEnergyConfig):
    """Flags of both kinds of transformers, with the defaults of fairseq's ``transformer_lm``."""

    activation_fn: Activation = fairseq_flag("relu", "activation function of feed-forward parts")
    dropout: float = fairseq_flag(0.1, "dropout of all layers' outputs")
    attention_dropout: float = fairseq_flag(0.0, "dropout of attention")
    activation_dropout: float = fairseq_flag(0.0, "dropout inside the feed-forward parts")
    no_token_positional_embeddings: bool = fairseq_flag(False, "no positions at all")


def transformer_config(cfg: Any, flags: type, **derived: Any) -> TransformerConfig:
    """fairseq's own, from a family's ``flags`` in ``cfg`` and what is ``derived`` from them."""
    given = {each.name: getattr(cfg, each.name) for each in fields(flags)}
    return TransformerConfig.from_namespace(Namespace(**given, **derived))


class EnergyModel(BaseFairseqModel):
    """``model(windows)`` is ``(B, M)`` for ``windows (B, M, T)``, padded at the end.

    The M windows in a row may begin with the same ``shared`` tokens: an energy may make use of
    that, but need not.
    """

    def __init__(self, cfg: Any, dictionary: Dictionary) -> None:
        super().__init__()
        self.padding = dictionary.pad()

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "EnergyModel":
        return cls(cfg, task.dictionary)

    def forward(self, windows: Tensor, shared: int = 0) -> Tensor:
        return self.energy(windows.flatten(0, 1)).view(windows.shape[:2])

    def energy(self, tokens: Tensor) -> Tensor:
        """(N, T) -> (N,)"""
        raise NotImplementedError

    def token_embedding(self) -> nn.Embedding:
        """Where tokens become vectors; ``energy`` calls it once, with an input that ends in the
        window."""
        raise NotImplementedError

    def max_positions(self) -> int:
        """The longest window that the energy can read."""
        return 1 << 30  # no limit, unless a family has one


class EnergyHead(nn.Module):
    """Features -> energies: one position, or the mean of all, projected to a number.

    It starts at zero, so that training starts from the base LM: E = 0, Z = 1.
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
        return self.total(features, is_token) / is_token.sum(dim=1, keepdim=True)

    def total(self, features: Tensor, is_token: Tensor) -> Tensor:
        """Sum over positions (N, d) in float32; padding may hold anything, even NaN."""
        return features.masked_fill(~is_token.unsqueeze(-1), 0.0).sum(dim=1, dtype=torch.float32)

    def project(self, pooled: Tensor) -> Tensor:
        """(N, d) -> (N,), in float32: in half precision different energies would become equal."""
        weight, bias = self.projection.weight.float(), self.projection.bias.float()
        return F.linear(pooled.float(), weight, bias).squeeze(-1)
