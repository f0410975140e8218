"""Language models of every supported kind, small and random, with a vocabulary of 12."""

from argparse import Namespace

import torch
from fairseq.data import Dictionary
from fairseq.models import ARCH_CONFIG_REGISTRY, MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY

TRANSFORMER = {
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_embed_dim": 16,
    "decoder_input_dim": 16,
    "decoder_output_dim": 16,
    "decoder_ffn_embed_dim": 24,
    "tokens_per_sample": 64,
    "max_target_positions": 64,
}
ADAPTIVE = {"adaptive_softmax_cutoff": "4,8", "criterion": "adaptive_loss"}
KINDS = {
    "post-norm": ("transformer_lm", {**TRANSFORMER, "decoder_normalize_before": False}),
    "pre-norm": ("transformer_lm", {**TRANSFORMER, "decoder_normalize_before": True}),
    "learned positions": ("transformer_lm", {**TRANSFORMER, "decoder_learned_pos": True}),
    "no positions": ("transformer_lm", {**TRANSFORMER, "no_token_positional_embeddings": True}),
    "tied": ("transformer_lm", {**TRANSFORMER, "share_decoder_input_output_embed": True}),
    "adaptive softmax": ("transformer_lm", {**TRANSFORMER, **ADAPTIVE}),
    "adaptive input": (
        "transformer_lm",
        {**TRANSFORMER, **ADAPTIVE, "adaptive_input": True, "adaptive_input_cutoff": "4,8"}
        | {"tie_adaptive_weights": True, "adaptive_input_factor": 2, "adaptive_softmax_factor": 2},
    ),
    "projected": (
        "transformer_lm",
        {**TRANSFORMER, "decoder_input_dim": 12, "decoder_output_dim": 20},
    ),
    "gelu": ("transformer_lm", {**TRANSFORMER, "activation_fn": "gelu"}),
    "embedding norm": ("transformer_lm", {**TRANSFORMER, "layernorm_embedding": True}),
    "normformer": ("transformer_lm", {**TRANSFORMER, "scale_attn": True, "scale_fc": True}),
    "lstm": (
        "lstm_lm",
        {
            "decoder_embed_dim": 16,
            "decoder_hidden_size": 16,
            "decoder_out_embed_dim": 16,
            "decoder_layers": 2,
            "decoder_attention": "0",
            "share_decoder_input_output_embed": False,
            "criterion": "cross_entropy",
        },
    ),
    "conv": (
        "fconv_lm",
        {"decoder_embed_dim": 16, "decoder_layers": "[(16, 3)] * 2", "tokens_per_sample": 64}
        | {"criterion": "cross_entropy"},
    ),
}


def dictionary():
    symbols = Dictionary()
    for symbol in "abcdefgh":
        symbols.add_symbol(symbol)
    return symbols


def build(kind, seed=1):
    """A model in evaluation mode whose predictions are far from uniform."""
    name, values = KINDS[kind]
    if name in MODEL_DATACLASS_REGISTRY:
        args = MODEL_DATACLASS_REGISTRY[name]()
        vars(args).update(values)
    else:
        args = Namespace(**values)
        ARCH_CONFIG_REGISTRY[name](args)
    symbols = dictionary()
    task = Namespace(source_dictionary=symbols, target_dictionary=symbols, dictionary=symbols)
    torch.manual_seed(seed)
    model = MODEL_REGISTRY[name].build_model(args, task).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed_positions" not in name:
                parameter.mul_(4 if kind == "lstm" else 1.5)
            elif parameter.dim() == 1 and "bias" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model
