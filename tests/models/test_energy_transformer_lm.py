import pytest
import torch

from fairseq_ebm.errors import UserError
from tests.models.energies import build, windows

KINDS = {
    "defaults": {},
    "pre-norm": {"decoder_normalize_before": True},
    "learned": {"decoder_learned_pos": True, "max_target_positions": 11},
    "no positions": {"no_token_positional_embeddings": True, "no_scale_embedding": True},
    "gpt": {
        "activation_fn": "gelu",
        "decoder_normalize_before": True,
        "no_decoder_final_norm": True,
        "layernorm_embedding": True,
    },
}


def energies_and_gradients(model, batch, shared):
    model.zero_grad()
    energies = model(batch, shared=shared)
    weights = torch.linspace(-1, 1, energies.numel()).view_as(energies)
    (energies * weights).sum().backward()
    return energies.detach(), {n: p.grad for n, p in model.named_parameters()}


@pytest.mark.parametrize("pooling", ["mean", "sum", "last"])
@pytest.mark.parametrize("kind", KINDS)
def test_shared_prefixes_change_nothing(kind, pooling):
    model = build("energy_transformer_lm", energy_pooling=pooling, **KINDS[kind])
    batch = windows()
    batch[1, :, 9:] = 1  # one row of shorter windows, padded
    plain, plain_gradients = energies_and_gradients(model, batch, shared=0)
    assert plain.std() > 0.1
    for shared in (1, 3, 5):
        energies, gradients = energies_and_gradients(model, batch, shared)
        torch.testing.assert_close(energies, plain, atol=1e-4, rtol=1e-5)
        for name, gradient in plain_gradients.items():
            if gradient is not None:
                torch.testing.assert_close(gradients[name], gradient, atol=1e-4, rtol=1e-4)


def test_the_prefix_is_encoded_once():
    """Counts the tokens in a module that all of them pass through."""
    model, batch = build("energy_transformer_lm"), windows(rows=2, each=7)
    counts = []
    model.decoder.layers[0].fc1.register_forward_hook(
        lambda _, inputs, __: counts.append(inputs[0].numel() // inputs[0].size(-1))
    )
    model(batch, shared=5)
    assert sum(counts) == 2 * (5 + 7 * 6)


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_fairseqs_decoder(kind):
    model, batch = build("energy_transformer_lm", **KINDS[kind]), windows()[0]
    features, _ = model.decoder.extract_features(batch, None)
    expected = model.head.projection(features.mean(dim=1))[:, 0]
    torch.testing.assert_close(model.energy(batch), expected)


def test_dropout_is_applied_in_training_only():
    model = build("energy_transformer_lm", dropout=0.5, attention_dropout=0.5)
    batch = windows()
    torch.testing.assert_close(model(batch, 5), model(batch, 5))
    model.train()
    for shared in (0, 5):
        assert not torch.allclose(model(batch, shared), model(batch, shared))


def test_the_first_symbol_alone_says_nothing():
    with pytest.raises(UserError, match="use mean, sum or last"):
        build("energy_transformer_lm", energy_pooling="first")
