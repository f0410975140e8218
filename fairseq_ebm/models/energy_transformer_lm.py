"""``energy_transformer_lm``: a causal language model's features, pooled and projected (UniT)."""

from argparse import Namespace
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum
from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import Embedding, TransformerConfig, TransformerDecoderBase
from torch import Tensor, nn

from ..errors import UserError
from ..lm.features import plain_features, shared_features
from .energy import EnergyHead, EnergyModel, PooledEnergyConfig


@dataclass
class CausalEnergyConfig(PooledEnergyConfig):
    """The flags of fairseq's ``transformer_lm`` that shape its features, with its defaults."""

    activation_fn: ChoiceEnum(utils.get_available_activation_fns()) = field(  # type: ignore[valid-type]
        default="relu", metadata={"help": "activation function of the feed-forward parts"}
    )
    dropout: float = field(default=0.1, metadata={"help": "dropout of all layers' outputs"})
    attention_dropout: float = field(default=0.0, metadata={"help": "dropout of attention"})
    activation_dropout: float = field(
        default=0.0, metadata={"help": "dropout inside the feed-forward parts"}
    )
    decoder_layers: int = field(default=6, metadata={"help": "number of layers"})
    decoder_embed_dim: int = field(default=512, metadata={"help": "width of the features"})
    decoder_ffn_embed_dim: int = field(
        default=2048, metadata={"help": "width of the feed-forward parts"}
    )
    decoder_attention_heads: int = field(default=8, metadata={"help": "number of heads"})
    decoder_normalize_before: bool = field(
        default=False,
        metadata={"help": "layer norm before each block, as all presets of transformer_lm have it"},
    )
    max_target_positions: int = field(
        default=1024, metadata={"help": "length of the longest window"}
    )
    decoder_learned_pos: bool = field(
        default=False, metadata={"help": "learned positions instead of sinusoidal ones"}
    )
    no_token_positional_embeddings: bool = field(
        default=False, metadata={"help": "no positions at all"}
    )
    layernorm_embedding: bool = field(default=False, metadata={"help": "normalise the embeddings"})
    no_scale_embedding: bool = field(
        default=False, metadata={"help": "do not scale embeddings by the root of their width"}
    )
    no_decoder_final_norm: bool = field(
        default=False, metadata={"help": "no layer norm after the last layer"}
    )


@register_model("energy_transformer_lm", dataclass=CausalEnergyConfig)
class CausalEnergy(EnergyModel):
    """Reads the window without </s> before it, so it fits the positions of the LM it comes from.

    What windows share at their beginning is encoded once.
    """

    def __init__(self, cfg: CausalEnergyConfig, dictionary: Dictionary) -> None:
        super().__init__(dictionary)
        if str(cfg.energy_pooling) == "first":
            raise UserError(
                "--energy-pooling first: a causal energy sees only the first symbol there; "
                "use mean or last"
            )
        embed = Embedding(len(dictionary), cfg.decoder_embed_dim, self.padding)
        self.decoder = TransformerDecoderBase(
            _decoder_config(cfg), dictionary, embed, True, output_projection=nn.Identity()
        )
        self.head = EnergyHead(cfg.decoder_embed_dim, cfg.energy_pooling)

    @classmethod
    def build_model(cls, cfg: CausalEnergyConfig, task: Any) -> "CausalEnergy":
        return cls(cfg, task.dictionary)

    def forward(self, windows: Tensor, shared: int = 0) -> Tensor:
        if not 0 < shared < windows.size(2) or windows.size(1) == 1:
            return super().forward(windows)
        rows = windows.shape[:2]
        features = shared_features(self.decoder, windows, shared)
        rest = features.rest.flatten(0, 1)
        is_token = (windows != self.padding).flatten(0, 1)
        if self.head.pooling != "mean":
            return self.head(rest, is_token[:, shared:]).view(rows)
        prefix_total = features.prefix.sum(dim=1, dtype=torch.float32)
        total = self.head.total(rest, is_token[:, shared:])
        total = total + prefix_total.repeat_interleave(rows[1], dim=0)
        return self.head.project(total / is_token.sum(dim=1, keepdim=True)).view(rows)

    def energy(self, tokens: Tensor) -> Tensor:
        return self.head(plain_features(self.decoder, tokens), tokens != self.padding)

    def token_embedding(self) -> nn.Embedding:
        return self.decoder.embed_tokens

    def max_positions(self) -> int:
        return int(self.decoder.max_target_positions)


def _decoder_config(cfg: CausalEnergyConfig) -> TransformerConfig:
    """fairseq's configuration for the decoder that its ``transformer_lm`` would build."""
    flags = Namespace(**{f.name: getattr(cfg, f.name) for f in fields(CausalEnergyConfig)})
    flags.decoder_input_dim = flags.decoder_output_dim = cfg.decoder_embed_dim
    return TransformerConfig.from_namespace(flags)


@register_model_architecture("energy_transformer_lm", "energy_transformer_lm_unit")
def energy_transformer_lm_unit(args: Namespace) -> None:
    """UniT of both papers: the shape of their base LM."""
    args.decoder_layers = getattr(args, "decoder_layers", 12)
    args.decoder_attention_heads = getattr(args, "decoder_attention_heads", 16)
    args.decoder_embed_dim = getattr(args, "decoder_embed_dim", 1024)
    args.decoder_ffn_embed_dim = getattr(args, "decoder_ffn_embed_dim", 4096)
    args.decoder_normalize_before = True
