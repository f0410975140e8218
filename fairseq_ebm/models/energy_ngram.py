"""``energy_ngram``: only what is known by heart, no network. It trains in seconds."""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models import register_model
from torch import Tensor, nn

from ..errors import UserError
from ..options import fairseq_flag
from .energy import EnergyConfig, EnergyModel


@dataclass
class NgramEnergyConfig(EnergyConfig):
    ngrams: int = fairseq_flag(4, "symbols of the longest sequence that has a number of its own")


@register_model("energy_ngram", dataclass=NgramEnergyConfig)
class NgramEnergy(EnergyModel):
    def __init__(self, cfg: Any, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary)
        if cfg.ngrams < 1:
            raise UserError(f"--ngrams: {cfg.ngrams} is below 1")

    def of_windows(self, tokens: Tensor) -> Tensor:
        return tokens.new_zeros(len(tokens), dtype=torch.float32)

    def token_embedding(self) -> nn.Embedding:
        raise UserError("an energy_ngram has no vectors of symbols, and so no gradients there")
