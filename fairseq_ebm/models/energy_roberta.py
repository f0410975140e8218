"""``energy_roberta``: fairseq's RoBERTa encoder, pooled and projected (BiT)."""

from dataclasses import dataclass

import torch
from fairseq.data import Dictionary
from fairseq.models import register_model
from fairseq.models.transformer import TransformerEncoderBase
from fairseq.modules.transformer_sentence_encoder import init_bert_params
from torch import Tensor, nn

from ..options import fairseq_flag
from .energy import Activation, EnergyHead, EnergyModel, TransformerEnergyConfig, transformer_config
from .presets import preset, shape


@dataclass
class BidirectionalEnergyConfig(TransformerEnergyConfig):
    """The flags of fairseq's ``roberta``, and those for the structure of a ``transformer_lm``."""

    activation_fn: Activation = fairseq_flag("gelu", "activation function of feed-forward parts")
    attention_dropout: float = fairseq_flag(0.1, "dropout of attention")
    encoder_layers: int = fairseq_flag(12, "number of layers")
    encoder_embed_dim: int = fairseq_flag(768, "width of the features")
    encoder_ffn_embed_dim: int = fairseq_flag(3072, "width of the feed-forward parts")
    encoder_attention_heads: int = fairseq_flag(12, "number of heads")
    max_positions: int = fairseq_flag(512, "positions: one more than the longest window")
    encoder_normalize_before: bool = fairseq_flag(
        False, "layer norm before each block, as in transformer_lm"
    )
    sinusoidal_positions: bool = fairseq_flag(False, "sinusoidal positions instead of learned ones")
    no_layernorm_embedding: bool = fairseq_flag(False, "do not normalise the embeddings")
    scale_embedding: bool = fairseq_flag(False, "scale embeddings by the root of their width")


@register_model("energy_roberta", dataclass=BidirectionalEnergyConfig)
class BidirectionalEnergy(EnergyModel):
    """Reads <s> and the window; ``--energy-pooling first`` takes the position of <s>."""

    def __init__(self, cfg: BidirectionalEnergyConfig, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary)
        self.start = dictionary.bos()
        embed = nn.Embedding(len(dictionary), cfg.encoder_embed_dim, self.padding)
        config = transformer_config(
            cfg,
            BidirectionalEnergyConfig,
            max_source_positions=cfg.max_positions,
            encoder_learned_pos=not cfg.sinusoidal_positions,
            layernorm_embedding=not cfg.no_layernorm_embedding,
            no_scale_embedding=not cfg.scale_embedding,
        )
        self.encoder = TransformerEncoderBase(config, dictionary, embed)
        self.encoder.apply(init_bert_params)
        self.head = EnergyHead(cfg.encoder_embed_dim, cfg.energy_pooling)

    def of_windows(self, tokens: Tensor) -> Tensor:
        tokens = torch.cat([tokens.new_full((len(tokens), 1), self.start), tokens], dim=1)
        features = self.encoder(tokens)["encoder_out"][0].transpose(0, 1)  # (N, 1 + T, d)
        return self.head(features, tokens != self.padding)

    def token_embedding(self) -> nn.Embedding:
        return self.encoder.embed_tokens

    def max_positions(self) -> int:
        return int(self.encoder.max_source_positions) - 1


# BiT-base: the defaults under the papers' name; and BiT-large.
preset("energy_roberta", "energy_roberta_base", {})
preset("energy_roberta", "energy_roberta_large", shape("encoder", 24, 16, 1024))
