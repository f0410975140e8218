"""``energy_bilstm``: bidirectional LSTM layers, pooled and projected."""

from argparse import Namespace
from dataclasses import dataclass, field
from typing import Any

from fairseq.data import Dictionary
from fairseq.models import register_model, register_model_architecture
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .energy import EnergyHead, EnergyModel, PooledEnergyConfig


@dataclass
class BiLSTMEnergyConfig(PooledEnergyConfig):
    encoder_embed_dim: int = field(default=512, metadata={"help": "width of the embeddings"})
    encoder_hidden_size: int = field(
        default=512, metadata={"help": "width of the hidden states in each direction"}
    )
    encoder_layers: int = field(default=4, metadata={"help": "number of layers"})
    dropout: float = field(
        default=0.1, metadata={"help": "dropout of the embeddings and of every layer's output"}
    )


@register_model("energy_bilstm", dataclass=BiLSTMEnergyConfig)
class BiLSTMEnergy(EnergyModel):
    def __init__(self, cfg: BiLSTMEnergyConfig, dictionary: Dictionary) -> None:
        super().__init__(dictionary)
        self.embed_tokens = nn.Embedding(
            len(dictionary), cfg.encoder_embed_dim, padding_idx=self.padding
        )
        nn.init.uniform_(self.embed_tokens.weight, -0.1, 0.1)
        nn.init.zeros_(self.embed_tokens.weight[self.padding])
        self.dropout = nn.Dropout(cfg.dropout)
        self.lstm = nn.LSTM(
            cfg.encoder_embed_dim,
            cfg.encoder_hidden_size,
            num_layers=cfg.encoder_layers,
            dropout=cfg.dropout if cfg.encoder_layers > 1 else 0.0,
            bidirectional=True,
            batch_first=True,
        )
        self.head = EnergyHead(2 * cfg.encoder_hidden_size, cfg.energy_pooling)

    @classmethod
    def build_model(cls, cfg: BiLSTMEnergyConfig, task: Any) -> "BiLSTMEnergy":
        return cls(cfg, task.dictionary)

    def energy(self, tokens: Tensor) -> Tensor:
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


@register_model_architecture("energy_bilstm", "energy_bilstm_big")
def energy_bilstm_big(args: Namespace) -> None:
    """BiLSTM-big of P2: 768 and 1024 give its 39M + 90M; "758/2014" in the text is a misprint."""
    args.encoder_embed_dim = getattr(args, "encoder_embed_dim", 768)
    args.encoder_hidden_size = getattr(args, "encoder_hidden_size", 1024)
