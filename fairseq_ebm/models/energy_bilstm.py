"""``energy_bilstm``: bidirectional LSTM layers, pooled and projected."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import ContextManager, cast

import torch
from fairseq.data import Dictionary
from fairseq.models import register_model
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..options import fairseq_flag
from .energy import EnergyHead, EnergyModel, PooledEnergyConfig
from .presets import preset


@dataclass
class BiLSTMEnergyConfig(PooledEnergyConfig):
    encoder_embed_dim: int = fairseq_flag(512, "width of the embeddings")
    encoder_hidden_size: int = fairseq_flag(512, "width of the hidden states in each direction")
    encoder_layers: int = fairseq_flag(4, "number of layers")
    dropout: float = fairseq_flag(0.1, "dropout of the embeddings and of every layer's output")


@register_model("energy_bilstm", dataclass=BiLSTMEnergyConfig)
class BiLSTMEnergy(EnergyModel):
    def __init__(self, cfg: BiLSTMEnergyConfig, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary)
        self.embed_tokens = nn.Embedding(len(dictionary), cfg.encoder_embed_dim, self.padding)
        nn.init.uniform_(self.embed_tokens.weight, -0.1, 0.1)
        nn.init.zeros_(self.embed_tokens.weight[self.padding])
        self.dropout = nn.Dropout(cfg.dropout)
        shape = (cfg.encoder_embed_dim, cfg.encoder_hidden_size, cfg.encoder_layers)
        dropout = cfg.dropout if cfg.encoder_layers > 1 else 0.0
        self.lstm = nn.LSTM(*shape, dropout=dropout, bidirectional=True, batch_first=True)
        self.head = EnergyHead(2 * cfg.encoder_hidden_size, cfg.energy_pooling)

    def of_windows(self, tokens: Tensor) -> Tensor:
        with self._with_gradients():
            return self._of_windows(tokens)

    def _with_gradients(self) -> ContextManager[None]:
        """cuDNN has those of recurrent layers in training mode only."""
        if self.training or not torch.is_grad_enabled():
            return nullcontext()
        return cast(ContextManager[None], torch.backends.cudnn.flags(enabled=False))

    def _of_windows(self, tokens: Tensor) -> Tensor:
        is_token = tokens != self.padding
        x = self.dropout(self.embed_tokens(tokens))
        if bool(is_token.all()):
            features, _ = self.lstm(x)
        else:
            lengths = is_token.sum(dim=1).cpu()
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            features, _ = pad_packed_sequence(
                self.lstm(packed)[0], batch_first=True, total_length=tokens.size(1)
            )
        return self.head(self.dropout(features), is_token)

    def token_embedding(self) -> nn.Embedding:
        return self.embed_tokens


# BiLSTM-big of P2: 768 and 1024 give its 39M + 90M; "758/2014" in the text is a misprint.
BIG = {"encoder_embed_dim": 768, "encoder_hidden_size": 1024}
preset("energy_bilstm", "energy_bilstm_big", BIG)
