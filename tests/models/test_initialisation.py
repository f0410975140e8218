import logging
import re
from types import SimpleNamespace

import pytest
import torch
from fairseq import models, options
from fairseq.data import Dictionary
from omegaconf import OmegaConf

from fairseq_ebm.errors import UserError
from fairseq_ebm.lm.checkpoint import load_model
from fairseq_ebm.models.initialisation import initialise

CAUSAL = {
    "_name": "energy_transformer_lm",
    "decoder_layers": 1,
    "decoder_embed_dim": 16,
    "decoder_ffn_embed_dim": 32,
    "decoder_attention_heads": 2,
}
BIDIRECTIONAL = {
    "_name": "energy_roberta",
    "encoder_layers": 1,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "max_positions": 64,
}
LIKE_AN_LM = {
    "activation_fn": "relu",
    "sinusoidal_positions": True,
    "no_layernorm_embedding": True,
    "scale_embedding": True,
}


def build(data, config):
    dictionary = Dictionary.load(str(data / "dict.txt"))
    task = SimpleNamespace(dictionary=dictionary)
    return models.build_model(OmegaConf.create(config), task).eval()


def windows():
    return torch.randint(4, 14, (3, 10), generator=torch.Generator().manual_seed(0))


def test_a_causal_energy_has_the_features_of_the_lm(sums, sums_lm):
    model = build(sums, CAUSAL)
    transferred = initialise(model, sums_lm, sums)
    lm, _ = load_model(sums_lm, sums, "--path")
    torch.testing.assert_close(
        model.decoder.eval().extract_features(windows(), None)[0],
        lm.eval().decoder.extract_features(windows(), None)[0],
    )
    assert transferred.fresh == ["head.projection.bias", "head.projection.weight"]
    assert transferred.left_out == ["decoder.output_projection.weight"]
    assert not model.energy(windows()).any(), "the output layer still starts at zero"


def test_a_bidirectional_energy_from_a_masked_lm(sums, sums_masked_lm, caplog):
    model = build(sums, BIDIRECTIONAL)
    with caplog.at_level(logging.INFO):
        transferred = initialise(model, sums_masked_lm, sums)
    roberta, _ = load_model(sums_masked_lm, sums, "--path")
    inner = roberta.eval().encoder.sentence_encoder
    assert len(inner.embed_tokens.weight) == 1 + len(model.encoder.embed_tokens.weight), "<mask>"
    torch.testing.assert_close(
        model.encoder(windows())["encoder_out"][0], inner(windows())["encoder_out"][0]
    )
    assert any("lm_head" in name for name in transferred.left_out)
    assert re.search(r"\d+ tensors loaded.*fresh: head.*left out: encoder.lm_head", caplog.text)


def test_a_bidirectional_energy_from_an_lm_without_its_mask(sums, sums_lm):
    model = build(sums, {**BIDIRECTIONAL, **LIKE_AN_LM})
    initialise(model, sums_lm, sums)
    lm, _ = load_model(sums_lm, sums, "--path")
    expected, _ = lm.eval().decoder.extract_features(windows(), None, full_context_alignment=True)
    features = model.encoder(windows())["encoder_out"][0].transpose(0, 1)
    torch.testing.assert_close(features, expected)


@pytest.mark.parametrize(
    "arch, source",
    [
        ("energy_transformer_lm", "sums_lm"),
        ("energy_roberta", "sums_lm"),
        ("energy_roberta", "sums_masked_lm"),
    ],
)
def test_the_error_names_the_flags_that_make_it_fit(arch, source, sums, request):
    path = request.getfixturevalue(source)
    with pytest.raises(UserError, match=r"--init-from: .* has another shape; add ") as error:
        initialise(build(sums, {"_name": arch}), path, sums)
    flags = str(error.value).partition("; add ")[2].split()
    parser = options.get_training_parser(default_task="residual_ebm_lm")
    given = [str(sums), "--arch", arch, *flags]
    config = OmegaConf.create(
        {
            name: value
            for name, value in vars(options.parse_args_and_arch(parser, given)).items()
            if name in vars(models.MODEL_DATACLASS_REGISTRY[arch]())
        }
    )
    initialise(build(sums, {**config, "_name": arch}), path, sums)


def test_the_error_names_the_flags_to_leave_out(sums, sums_lm):
    model = build(sums, {**CAUSAL, "layernorm_embedding": True})
    with pytest.raises(UserError, match=r"another shape; leave out --layernorm-embedding$"):
        initialise(model, sums_lm, sums)


@pytest.mark.parametrize(
    "config, source, message",
    [
        (CAUSAL, "sums_masked_lm", "is a RobertaModel, but a CausalEnergy takes a transformer_lm"),
        ({"_name": "energy_linear"}, "sums_lm", "LinearEnergy starts fresh"),
    ],
)
def test_models_that_do_not_fit(config, source, message, sums, request):
    with pytest.raises(UserError, match=message):
        initialise(build(sums, config), request.getfixturevalue(source), sums)
