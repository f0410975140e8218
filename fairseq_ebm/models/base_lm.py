"""Presets of the papers' language models; the models themselves are fairseq's ``transformer_lm``.

Input and output share one matrix: only then do they have the papers' numbers of parameters. Where
a stated shape and a stated number disagree, both are here; docs/models.md has the table.
"""

from argparse import Namespace

from fairseq.models import register_model_architecture
from fairseq.models.transformer_lm import base_lm_architecture, transformer_lm_gpt2_big


def shape(args: Namespace, layers: int, heads: int, width: int) -> None:
    """Sets what no flag has set; ff is 4 d in all of the papers' models."""
    args.decoder_layers = getattr(args, "decoder_layers", layers)
    args.decoder_attention_heads = getattr(args, "decoder_attention_heads", heads)
    args.decoder_embed_dim = getattr(args, "decoder_embed_dim", width)
    args.decoder_ffn_embed_dim = getattr(args, "decoder_ffn_embed_dim", 4 * width)
    base_lm_architecture(args)


def tied(args: Namespace, layers: int, heads: int, width: int) -> None:
    tie(args)
    shape(args, layers, heads, width)


def tie(args: Namespace) -> None:
    """fairseq also applies presets to a checkpoint's flags: what these say stays."""
    name = "share_decoder_input_output_embed"
    setattr(args, name, getattr(args, name, True))


@register_model_architecture("transformer_lm", "transformer_lm_small")
def transformer_lm_small(args: Namespace) -> None:
    """TransfSmall, a generator of Real or Fake."""
    tied(args, layers=6, heads=8, width=512)


@register_model_architecture("transformer_lm", "transformer_lm_base_lm")
def transformer_lm_base_lm(args: Namespace) -> None:
    """BASE LM of Residual EBMs for Text Generation, TransfBig of Real or Fake."""
    tied(args, layers=12, heads=16, width=1024)


@register_model_architecture("transformer_lm", "transformer_lm_balm")
def transformer_lm_balm(args: Namespace) -> None:
    """BALM as the paper describes it: d 1568, ff 6272."""
    tied(args, layers=12, heads=16, width=1568)


@register_model_architecture("transformer_lm", "transformer_lm_balm_matched")
def transformer_lm_balm_matched(args: Namespace) -> None:
    """BALM with the paper's number of parameters, 408M."""
    tied(args, layers=12, heads=16, width=1520)


@register_model_architecture("transformer_lm", "transformer_lm_base_24l")
def transformer_lm_base_24l(args: Namespace) -> None:
    """BASE LM-24L: 203M; the paper states no width."""
    tied(args, layers=24, heads=16, width=752)


@register_model_architecture("transformer_lm", "transformer_lm_balm_24l")
def transformer_lm_balm_24l(args: Namespace) -> None:
    """BALM-24L: 408M; the paper states no width."""
    tied(args, layers=24, heads=16, width=1104)


@register_model_architecture("transformer_lm", "transformer_lm_huge")
def transformer_lm_huge(args: Namespace) -> None:
    """TransfHuge as the paper describes it: transformer_lm_gpt2_big, 48 layers, 25 heads."""
    tie(args)
    transformer_lm_gpt2_big(args)


@register_model_architecture("transformer_lm", "transformer_lm_huge_matched")
def transformer_lm_huge_matched(args: Namespace) -> None:
    """TransfHuge with the paper's numbers of parameters, which its 25 heads cannot have."""
    args.decoder_attention_heads = getattr(args, "decoder_attention_heads", 24)
    args.decoder_embed_dim = getattr(args, "decoder_embed_dim", 1536)
    args.decoder_ffn_embed_dim = getattr(args, "decoder_ffn_embed_dim", 6144)
    transformer_lm_huge(args)
