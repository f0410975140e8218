"""``energy_roberta``: fairseq's RoBERTa encoder, pooled and projected (BiT)."""

from argparse import Namespace
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum
from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import TransformerConfig, TransformerEncoderBase
from fairseq.modules.transformer_sentence_encoder import init_bert_params
from torch import Tensor, nn

from .energy import EnergyHead, EnergyModel, PooledEnergyConfig


@dataclass
class BidirectionalEnergyConfig(PooledEnergyConfig):
    """The flags of fairseq's ``roberta``, and those for the structure of a ``transformer_lm``."""

    activation_fn: ChoiceEnum(utils.get_available_activation_fns()) = field(  # type: ignore[valid-type]
        default="gelu", metadata={"help": "activation function of the feed-forward parts"}
    )
    dropout: float = field(default=0.1, metadata={"help": "dropout of all layers' outputs"})
    attention_dropout: float = field(default=0.1, metadata={"help": "dropout of attention"})
    activation_dropout: float = field(
        default=0.0, metadata={"help": "dropout inside the feed-forward parts"}
    )
    encoder_layers: int = field(default=12, metadata={"help": "number of layers"})
    encoder_embed_dim: int = field(default=768, metadata={"help": "width of the features"})
    encoder_ffn_embed_dim: int = field(
        default=3072, metadata={"help": "width of the feed-forward parts"}
    )
    encoder_attention_heads: int = field(default=12, metadata={"help": "number of heads"})
    max_positions: int = field(
        default=512, metadata={"help": "number of positions: one more than the longest window"}
    )
    encoder_normalize_before: bool = field(
        default=False, metadata={"help": "layer norm before each block, as in transformer_lm"}
    )
    sinusoidal_positions: bool = field(
        default=False, metadata={"help": "sinusoidal positions instead of learned ones"}
    )
    no_token_positional_embeddings: bool = field(
        default=False, metadata={"help": "no positions at all"}
    )
    no_layernorm_embedding: bool = field(
        default=False, metadata={"help": "do not normalise the embeddings"}
    )
    scale_embedding: bool = field(
        default=False, metadata={"help": "scale embeddings by the root of their width"}
    )


@register_model("energy_roberta", dataclass=BidirectionalEnergyConfig)
class BidirectionalEnergy(EnergyModel):
    """Reads <s> and the window; ``--energy-pooling first`` takes the position of <s>."""

    def __init__(self, cfg: BidirectionalEnergyConfig, dictionary: Dictionary) -> None:
        super().__init__(dictionary)
        self.start = dictionary.bos()
        embed = nn.Embedding(len(dictionary), cfg.encoder_embed_dim, self.padding)
        self.encoder = TransformerEncoderBase(_encoder_config(cfg), dictionary, embed)
        self.encoder.apply(init_bert_params)
        self.head = EnergyHead(cfg.encoder_embed_dim, cfg.energy_pooling)

    @classmethod
    def build_model(cls, cfg: BidirectionalEnergyConfig, task: Any) -> "BidirectionalEnergy":
        return cls(cfg, task.dictionary)

    def energy(self, tokens: Tensor) -> Tensor:
        tokens = torch.cat([tokens.new_full((len(tokens), 1), self.start), tokens], dim=1)
        features = self.encoder(tokens)["encoder_out"][0].transpose(0, 1)  # (N, 1 + T, d)
        return self.head(features, tokens != self.padding)

    def token_embedding(self) -> nn.Embedding:
        return self.encoder.embed_tokens

    def max_positions(self) -> int:
        return int(self.encoder.max_source_positions) - 1


def _encoder_config(cfg: BidirectionalEnergyConfig) -> TransformerConfig:
    """fairseq's configuration for the encoder that its ``roberta`` would build."""
    flags = Namespace(**{f.name: getattr(cfg, f.name) for f in fields(BidirectionalEnergyConfig)})
    flags.max_source_positions = cfg.max_positions
    flags.encoder_learned_pos = not cfg.sinusoidal_positions
    flags.layernorm_embedding = not cfg.no_layernorm_embedding
    flags.no_scale_embedding = not cfg.scale_embedding
    return TransformerConfig.from_namespace(flags)


@register_model_architecture("energy_roberta", "energy_roberta_base")
def energy_roberta_base(args: Namespace) -> None:
    """BiT-base: the defaults under the papers' name."""


@register_model_architecture("energy_roberta", "energy_roberta_large")
def energy_roberta_large(args: Namespace) -> None:
    """BiT-large."""
    args.encoder_layers = getattr(args, "encoder_layers", 24)
    args.encoder_embed_dim = getattr(args, "encoder_embed_dim", 1024)
    args.encoder_ffn_embed_dim = getattr(args, "encoder_ffn_embed_dim", 4096)
    args.encoder_attention_heads = getattr(args, "encoder_attention_heads", 16)
