import torch

from tests.models.energies import build, windows


def test_order_means_nothing():
    model, batch = build("energy_bow"), windows()[0]
    torch.testing.assert_close(model.energy(batch), model.energy(batch.flip(1)))
    assert len(model.energy(batch).unique()) == len(batch)
