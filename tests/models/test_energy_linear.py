import torch

from tests.models.energies import build, windows


def test_a_sum_over_symbols():
    model, batch = build("energy_linear"), windows()[0]
    expected = sum(model.weights.weight[batch[:, i], 0] for i in range(batch.size(1)))
    torch.testing.assert_close(model.energy(batch), expected)
    torch.testing.assert_close(model.energy(batch.repeat(1, 2)), 2 * expected)
