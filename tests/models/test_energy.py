import pytest
import torch

from fairseq_ebm.models.energy import EnergyHead
from tests.models.energies import SMALL, SYMBOLS, build, windows

PADDING = 1
POOLINGS = [  # of each family
    *(("energy_transformer_lm", pooling) for pooling in ("mean", "sum", "last")),
    *(("energy_roberta", pooling) for pooling in ("mean", "sum", "first", "last")),
    *(("energy_bilstm", pooling) for pooling in ("mean", "sum", "first", "last")),
    *(("energy_cnn", pooling) for pooling in ("mean", "sum", "first", "last")),
]


def head(pooling):
    energy_head = EnergyHead(3, pooling)
    torch.nn.init.normal_(energy_head.projection.weight)
    torch.nn.init.normal_(energy_head.projection.bias)
    return energy_head


@pytest.mark.parametrize("pooling", ["mean", "sum", "first", "last"])
def test_padding_is_masked_whatever_it_holds(pooling):
    energy_head = head(pooling)
    features = torch.randn(2, 5, 3)
    is_token = torch.tensor([[True] * 5, [True, True, True, False, False]])
    features[1, 3:] = float("nan")
    expected = {
        "mean": torch.stack([features[0].mean(0), features[1, :3].mean(0)]),
        "sum": torch.stack([features[0].sum(0), features[1, :3].sum(0)]),
        "first": features[:, 0],
        "last": torch.stack([features[0, 4], features[1, 2]]),
    }[pooling]
    expected = energy_head.projection(expected)[:, 0]
    torch.testing.assert_close(energy_head(features, is_token), expected)


@pytest.mark.parametrize("arch", SMALL)
def test_training_starts_from_the_base_lm(arch):
    """E = 0, but the first step moves it."""
    model = build(arch, trained=False)
    energies = model(windows())
    assert energies.shape == (3, 4) and not energies.any()
    energies[:, 0].sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize("arch, pooling", POOLINGS)
def test_padding_changes_nothing(arch, pooling):
    model = build(arch, energy_pooling=pooling)
    short = windows(length=8)[0]
    padded = torch.cat([short, short.new_full((4, 3), PADDING)], dim=1)
    padded[0] = windows(length=11)[0, 0]  # one in the batch is long
    torch.testing.assert_close(model.energy(padded)[1:], model.energy(short)[1:])


def test_padding_changes_nothing_in_a_sum():
    model = build("energy_linear")
    short = windows(length=8)[0]
    padded = torch.cat([short, short.new_full((4, 3), PADDING)], dim=1)
    torch.testing.assert_close(model.energy(padded), model.energy(short))


@pytest.mark.parametrize("arch", SMALL)
def test_every_window_alone(arch):
    model, batch = build(arch), windows()
    together = model(batch, shared=5)
    alone = torch.stack([model.energy(w.unsqueeze(0)) for w in batch.flatten(0, 1)]).view(3, 4)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert together.std() > 0.1, "nothing to compare"


@pytest.mark.parametrize("arch", [arch for arch in SMALL if arch != "energy_ngram"])
def test_the_embedding_is_called_once_with_the_window_at_the_end(arch):
    model, tokens, calls = build(arch), windows()[0], []
    embedding = model.token_embedding()
    embedding.register_forward_hook(lambda module, inputs, output: calls.append(inputs[0]))
    model.energy(tokens)
    assert len(calls) == 1 and embedding.num_embeddings == SYMBOLS
    assert torch.equal(calls[0][:, -tokens.size(1) :], tokens)
