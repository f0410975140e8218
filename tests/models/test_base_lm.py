"""The presets have the papers' shapes; the user's flags and those of checkpoints override them."""

from argparse import Namespace

import pytest
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

import fairseq_ebm  # noqa: F401  (registers them)

SHAPES = {  # layers, heads, d, ff
    "transformer_lm_small": (6, 8, 512, 2048),
    "transformer_lm_base_lm": (12, 16, 1024, 4096),
    "transformer_lm_balm": (12, 16, 1568, 6272),
    "transformer_lm_balm_matched": (12, 16, 1520, 6080),
    "transformer_lm_base_24l": (24, 16, 752, 3008),
    "transformer_lm_balm_24l": (24, 16, 1104, 4416),
    "transformer_lm_huge": (48, 25, 1600, 6400),
    "transformer_lm_huge_matched": (48, 24, 1536, 6144),
}


def preset(arch, **flags):
    args = Namespace(**flags)
    ARCH_CONFIG_REGISTRY[arch](args)
    return args


@pytest.mark.parametrize("arch", SHAPES)
def test_shapes_are_the_papers(arch):
    args = preset(arch)
    assert ARCH_MODEL_REGISTRY[arch].__name__ == "TransformerLanguageModel"
    shape = (args.decoder_layers, args.decoder_attention_heads)
    assert (*shape, args.decoder_embed_dim, args.decoder_ffn_embed_dim) == SHAPES[arch]
    assert args.decoder_input_dim == args.decoder_output_dim == args.decoder_embed_dim
    assert args.decoder_embed_dim % args.decoder_attention_heads == 0
    assert args.share_decoder_input_output_embed


@pytest.mark.parametrize("arch", SHAPES)
def test_flags_and_checkpoints_override_presets(arch):
    args = preset(arch, decoder_layers=3, share_decoder_input_output_embed=False)
    assert args.decoder_layers == 3 and not args.share_decoder_input_output_embed
    assert args.decoder_embed_dim == SHAPES[arch][2]


def test_the_residual_has_the_shape_of_the_base_and_an_output_of_its_own():
    args, base = preset("residual_lm_base"), preset("transformer_lm_base_lm")
    assert not args.share_decoder_input_output_embed
    assert vars(args) == {**vars(base), "share_decoder_input_output_embed": False}
