"""``energy_transformer_lm``: a causal language model's features, pooled and projected (UniT)."""

from dataclasses import dataclass

import torch
from fairseq.data import Dictionary
from fairseq.models import register_model
from fairseq.models.transformer import Embedding, TransformerDecoderBase
from torch import Tensor, nn

from ..errors import UserError
from ..lm.features import plain_features, shared_features
from ..options import fairseq_flag
from .energy import EnergyHead, EnergyModel, TransformerEnergyConfig, transformer_config
from .presets import preset, shape


@dataclass
class CausalEnergyConfig(TransformerEnergyConfig):
    """The flags of fairseq's ``transformer_lm`` that shape its features, with its defaults."""

    decoder_layers: int = fairseq_flag(6, "number of layers")
    decoder_embed_dim: int = fairseq_flag(512, "width of the features")
    decoder_ffn_embed_dim: int = fairseq_flag(2048, "width of the feed-forward parts")
    decoder_attention_heads: int = fairseq_flag(8, "number of heads")
    decoder_normalize_before: bool = fairseq_flag(
        False, "layer norm before each block, as all presets of transformer_lm have it"
    )
    max_target_positions: int = fairseq_flag(1024, "length of the longest window")
    decoder_learned_pos: bool = fairseq_flag(False, "learned positions, not sinusoidal ones")
    layernorm_embedding: bool = fairseq_flag(False, "normalise the embeddings")
    no_scale_embedding: bool = fairseq_flag(
        False, "do not scale embeddings by the root of their width"
    )
    no_decoder_final_norm: bool = fairseq_flag(False, "no layer norm after the last layer")


@register_model("energy_transformer_lm", dataclass=CausalEnergyConfig)
class CausalEnergy(EnergyModel):
    """Reads the window without </s> before it, so it fits the positions of the LM it comes from.

    What windows share at their beginning is encoded once.
    """

    def __init__(self, cfg: CausalEnergyConfig, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary)
        if str(cfg.energy_pooling) == "first":
            problem = "a causal energy sees only the first symbol there"
            raise UserError(f"--energy-pooling first: {problem}; use mean, sum or last")
        width = cfg.decoder_embed_dim
        embed = Embedding(len(dictionary), width, self.padding)
        config = transformer_config(
            cfg, CausalEnergyConfig, decoder_input_dim=width, decoder_output_dim=width
        )
        self.decoder = TransformerDecoderBase(
            config, dictionary, embed, True, output_projection=nn.Identity()
        )
        self.head = EnergyHead(width, cfg.energy_pooling)

    def of_rows(self, windows: Tensor, shared: int) -> Tensor:
        if not 0 < shared < windows.size(2) or windows.size(1) == 1:
            return super().of_rows(windows, 0)
        rows = windows.shape[:2]
        prefix, rest = shared_features(self.decoder, windows, shared)
        rest = rest.flatten(0, 1)
        is_token = (windows != self.padding).flatten(0, 1)
        if self.head.pooling == "last":
            return self.head(rest, is_token[:, shared:]).view(rows)
        prefix_total = prefix.sum(dim=1, dtype=torch.float32)
        total = self.head.total(rest, is_token[:, shared:])
        total = total + prefix_total.repeat_interleave(rows[1], dim=0)
        return self.head.project(self.head.of_total(total, is_token)).view(rows)

    def of_windows(self, tokens: Tensor) -> Tensor:
        return self.head(plain_features(self.decoder, tokens), tokens != self.padding)

    def token_embedding(self) -> nn.Embedding:
        return self.decoder.embed_tokens

    def max_positions(self) -> int:
        return int(self.decoder.max_target_positions)


# UniT of both papers: the shape of their base LM.
UNIT = {**shape("decoder", 12, 16, 1024), "decoder_normalize_before": True}
preset("energy_transformer_lm", "energy_transformer_lm_unit", UNIT)
