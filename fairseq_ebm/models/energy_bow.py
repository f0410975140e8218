"""``energy_bow``: a bag of words. Mean of the symbols' embeddings, one hidden layer, a number."""

from dataclasses import dataclass

import torch
from fairseq.data import Dictionary
from fairseq.models import register_model
from torch import Tensor, nn

from ..options import fairseq_flag
from .energy import EnergyConfig, EnergyHead, EnergyModel


@dataclass
class BagOfWordsEnergyConfig(EnergyConfig):
    encoder_embed_dim: int = fairseq_flag(128, "width of the embeddings and of the hidden layer")


@register_model("energy_bow", dataclass=BagOfWordsEnergyConfig)
class BagOfWordsEnergy(EnergyModel):
    def __init__(self, cfg: BagOfWordsEnergyConfig, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary)
        width = cfg.encoder_embed_dim
        self.embed_tokens = nn.Embedding(len(dictionary), width, self.padding)
        self.hidden = nn.Linear(width, width)
        self.head = EnergyHead(width, "mean")

    def of_windows(self, tokens: Tensor) -> Tensor:
        mean = self.head.pool(self.embed_tokens(tokens), tokens != self.padding)
        return self.head.project(torch.relu(self.hidden(mean.to(self.hidden.weight.dtype))))

    def token_embedding(self) -> nn.Embedding:
        return self.embed_tokens
