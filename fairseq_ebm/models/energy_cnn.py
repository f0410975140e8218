"""``energy_cnn``: one causal convolution, rectified, pooled, projected: reads text at little cost.

With the defaults it is the weighting network of the third paper's code (s = −E)."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from fairseq.data import Dictionary
from fairseq.models import register_model
from torch import Tensor, nn

from ..errors import UserError
from ..options import fairseq_flag
from .energy import EnergyHead, EnergyModel, PooledEnergyConfig


@dataclass
class ConvolutionEnergyConfig(PooledEnergyConfig):
    encoder_embed_dim: int = fairseq_flag(128, "width of the embeddings, and channels")
    encoder_kernel_size: int = fairseq_flag(7, "symbols that a position sees, its own the last")


@register_model("energy_cnn", dataclass=ConvolutionEnergyConfig)
class ConvolutionEnergy(EnergyModel):
    def __init__(self, cfg: ConvolutionEnergyConfig, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary)
        width, size = cfg.encoder_embed_dim, cfg.encoder_kernel_size
        if size < 1:
            raise UserError(f"--encoder-kernel-size: {size} is below 1")
        self.embed_tokens = nn.Embedding(len(dictionary), width, self.padding)
        self.convolution = nn.Conv1d(width, width, size)
        self.head = EnergyHead(width, cfg.energy_pooling)
        self._from_table = True

    def of_windows(self, tokens: Tensor) -> Tensor:
        before = F.pad(tokens, (self.convolution.kernel_size[0] - 1, 0), value=self.padding)
        is_cheaper = tokens.numel() > self.embed_tokens.num_embeddings
        convolved = self._looked_up if self._from_table and is_cheaper else self._convolved
        return self.head(torch.relu(convolved(before)), tokens != self.padding)

    def _convolved(self, tokens: Tensor) -> Tensor:
        """(N, T + k − 1) -> (N, T, d)"""
        convolved: Tensor = self.convolution(self.embed_tokens(tokens).transpose(1, 2))
        return convolved.transpose(1, 2)

    def _looked_up(self, tokens: Tensor) -> Tensor:
        """The same. What a symbol adds at a place of the kernel is a row of a table: computed once
        for all positions, of which a large batch has more than there are symbols; k are summed."""
        size, width = self.convolution.kernel_size[0], self.convolution.out_channels
        weight = self.convolution.weight.permute(2, 0, 1).flatten(0, 1)  # (k d, d)
        symbols = torch.arange(self.embed_tokens.num_embeddings, device=tokens.device)
        table = F.linear(self.embed_tokens(symbols), weight).view(-1, width)  # symbol by symbol
        rows = tokens.unfold(1, size, 1) * size + torch.arange(size, device=tokens.device)
        summed = F.embedding_bag(rows.flatten(0, 1), table, mode="sum")
        bias: Any = self.convolution.bias
        return summed.view(*rows.shape[:2], width) + bias

    def token_embedding(self) -> nn.Embedding:
        """Whoever asks wants gradients there: from now on all goes through it."""
        self._from_table = False
        return self.embed_tokens
