"""The preset of the base LM has the paper's shape."""

from argparse import Namespace

from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

import fairseq_ebm  # noqa: F401  (registers it)


def test_base_lm_is_the_papers():
    args = Namespace()
    ARCH_CONFIG_REGISTRY["transformer_lm_base_lm"](args)
    assert ARCH_MODEL_REGISTRY["transformer_lm_base_lm"].__name__ == "TransformerLanguageModel"
    shape = (args.decoder_layers, args.decoder_attention_heads)
    assert shape == (12, 16)
    assert (args.decoder_embed_dim, args.decoder_ffn_embed_dim) == (1024, 4096)
    assert args.decoder_input_dim == args.decoder_output_dim == 1024
