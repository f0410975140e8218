"""Small energies of every family, built as fairseq would, with heads that are not zero."""

from types import SimpleNamespace

import torch
from fairseq import models
from fairseq.data import Dictionary
from omegaconf import OmegaConf

SYMBOLS = 60
SMALL = {
    "energy_transformer_lm": {
        "decoder_layers": 2,
        "decoder_embed_dim": 16,
        "decoder_ffn_embed_dim": 32,
        "decoder_attention_heads": 4,
    },
    "energy_roberta": {
        "encoder_layers": 2,
        "encoder_embed_dim": 16,
        "encoder_ffn_embed_dim": 32,
        "encoder_attention_heads": 4,
    },
    "energy_bilstm": {"encoder_layers": 2, "encoder_embed_dim": 8, "encoder_hidden_size": 12},
    "energy_cnn": {"encoder_embed_dim": 12, "encoder_kernel_size": 3},
    "energy_bow": {"encoder_embed_dim": 12},
    "energy_linear": {},
    "energy_ngram": {"ngrams": 3},
}
FLAGS = {  # the same on the command line
    arch: [w for name, v in small.items() for w in (f"--{name.replace('_', '-')}", str(v))]
    for arch, small in SMALL.items()
}


def dictionary(symbols=SYMBOLS):
    result = Dictionary()
    for i in range(symbols - result.nspecial):
        result.add_symbol(f"w{i}")
    return result


def build(arch, trained=True, symbols=SYMBOLS, task=None, **options):
    has_dropout = arch in ("energy_transformer_lm", "energy_roberta", "energy_bilstm")
    dropout = {"dropout": 0.0} if has_dropout else {}
    config = OmegaConf.create({"_name": arch, **dropout, **SMALL[arch], **options})
    torch.manual_seed(0)
    task = SimpleNamespace(**vars(task or SimpleNamespace()), dictionary=dictionary(symbols))
    model = models.build_model(config, task)
    if trained:
        with torch.no_grad():  # the initial zeros and ones hide mistakes
            for name, parameter in model.named_parameters():
                is_norm = parameter.dim() == 1 and name.endswith(".weight")
                parameter.normal_(std=0.5).add_(1.0 if is_norm else 0.0)
    return model.eval()


def windows(rows=3, each=4, length=11, shared=5, seed=0):
    """(rows, each, length), each row's windows with the same beginning."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(4, SYMBOLS, (rows, each, length), generator=generator)
    drawn[:, :, :shared] = drawn[:, :1, :shared]
    return drawn
