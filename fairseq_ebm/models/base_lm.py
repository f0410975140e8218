"""Presets of base language models; the models themselves are fairseq's ``transformer_lm``."""

from argparse import Namespace

from fairseq.models import register_model_architecture
from fairseq.models.transformer_lm import base_lm_architecture


@register_model_architecture("transformer_lm", "transformer_lm_base_lm")
def transformer_lm_base_lm(args: Namespace) -> None:
    """BASE LM of Residual EBMs for Text Generation: 12 layers, 16 heads, d 1024, ff 4096."""
    args.decoder_layers = getattr(args, "decoder_layers", 12)
    args.decoder_attention_heads = getattr(args, "decoder_attention_heads", 16)
    args.decoder_embed_dim = getattr(args, "decoder_embed_dim", 1024)
    args.decoder_ffn_embed_dim = getattr(args, "decoder_ffn_embed_dim", 4096)
    base_lm_architecture(args)
