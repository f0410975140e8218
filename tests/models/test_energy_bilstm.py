import torch

from tests.models.energies import build, windows


def test_reads_both_ways():
    """A change anywhere reaches the features at both ends."""
    model = build("energy_bilstm")
    batch = windows()[0, :1]
    for pooling in ("first", "last"):
        model.head.pooling = pooling
        for changed in (0, batch.size(1) - 1):
            other = batch.clone()
            other[0, changed] = 4 + (other[0, changed] - 3) % 50
            assert not torch.allclose(model.energy(batch), model.energy(other), atol=1e-7)
