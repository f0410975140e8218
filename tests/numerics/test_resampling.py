"""Draws follow exactly the distributions that they should."""

import math

import pytest
import torch

from fairseq_ebm.numerics.resampling import resample
from tests.toy_world import ToyWorld, chi_square_p

INF = math.inf


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def counts(indices, size):
    return torch.bincount(indices.reshape(-1), minlength=size)


def test_reproduces_the_joint_distribution():
    """All sequences of the toy world as one pool, weighted by P_LM e^-E: draws are exact."""
    world = ToyWorld()
    drawn = resample(world.log_lm - world.energies, 200_000, generator())
    assert chi_square_p(counts(drawn, 64), world.log_joint.exp()) > 0.01
    assert chi_square_p(counts(drawn, 64), world.log_lm.exp()) < 1e-6  # the test has power


def test_samples_of_the_lm_resampled_by_energy_approach_the_joint():
    """Sampling importance resampling: 256 proposals of the LM, one draw of weight e^-E."""
    world = ToyWorld()
    pools = world.sample((20_000, 256), generator(1))
    drawn = resample(-world.energies[pools], 1, generator(2))
    finals = pools.gather(1, drawn)
    distance = 0.5 * (counts(finals, 64) / len(pools) - world.log_joint.exp()).abs().sum()
    noise = 0.5 * math.sqrt(2 / math.pi) * float((world.log_joint.exp() / len(pools)).sqrt().sum())
    assert distance < 1.5 * noise


def test_weight_zero_is_never_drawn():
    log_weights = torch.tensor([-INF, 0.0, -INF, -INF, -50.0, -INF])
    drawn = resample(log_weights.expand(5000, 6), 2, generator())
    assert set(drawn.unique().tolist()) <= {1, 4}


def test_a_uniform_that_rounds_to_the_total_stays_in_the_pool(monkeypatch):
    nearly_one = 1 - 2.0**-53
    monkeypatch.setattr(
        torch, "rand", lambda shape, **kw: torch.full(shape, nearly_one, dtype=torch.float64)
    )
    log_weights = torch.tensor([0.3, -0.7, -40.0, -INF, -INF]).double()
    assert int(resample(log_weights, 1)) <= 2


def test_batches_of_pools():
    log_weights = torch.tensor([[[0.0, -INF]], [[-INF, 0.0]]])
    assert resample(log_weights, 3, generator()).tolist() == [[[0, 0, 0]], [[1, 1, 1]]]


def test_refuses_pools_without_enough_weight():
    with pytest.raises(ValueError, match="every weight"):
        resample(torch.full((3,), -INF), 1)
    with pytest.raises(ValueError, match="NaN"):
        resample(torch.tensor([0.0, math.nan]), 1)
