"""Draws follow their distributions exactly, in whole pools and in chunks."""

import math

import pytest
import torch

from fairseq_ebm.numerics.resampling import Reservoir, resample
from tests.toy_world import ToyWorld, chi_square_p

INF = math.inf


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def counts(indices, size):
    return torch.bincount(indices.reshape(-1), minlength=size)


def plackett_luce_pairs(weights):
    """P(first = i, second = j) when drawing twice without replacement."""
    p = weights / weights.sum()
    pairs = p.unsqueeze(1) * p.unsqueeze(0) / (1 - p.unsqueeze(1))
    return pairs.fill_diagonal_(0).reshape(-1)


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


def test_without_replacement_is_sequential_drawing():
    log_weights = torch.tensor([0.0, 1.0, -1.0, 0.5]).double()
    drawn = resample(log_weights.expand(100_000, 4), 2, generator(), replacement=False)
    assert (drawn[:, 0] != drawn[:, 1]).all()
    observed = counts(drawn[:, 0] * 4 + drawn[:, 1], 16)
    assert chi_square_p(observed, plackett_luce_pairs(log_weights.exp())) > 0.01


@pytest.mark.parametrize("replacement", [True, False])
def test_reservoir_does_not_depend_on_the_chunks(replacement):
    log_weights = torch.randn(1000, generator=generator(5)).double()
    draws = []
    for size in (1, 7, 256, 1000):
        reservoir = Reservoir(6, generator(6), replacement)
        for chunk in log_weights.split(size):
            reservoir.update(chunk)
        draws.append(reservoir.indices())
    assert all(torch.equal(draws[0], other) for other in draws[1:])


def test_reservoir_with_replacement_reproduces_the_joint_distribution():
    world = ToyWorld()
    reservoir = Reservoir(100_000, generator(3))
    for chunk in (world.log_lm - world.energies).split(10):
        reservoir.update(chunk)
    assert chi_square_p(counts(reservoir.indices(), 64), world.log_joint.exp()) > 0.01


def test_reservoir_without_replacement_is_sequential_drawing():
    log_weights = torch.tensor([0.0, 1.0, -1.0, 0.5]).double()
    source, observed = generator(4), torch.zeros(16, dtype=torch.long)
    for _ in range(20_000):
        reservoir = Reservoir(2, source, replacement=False)
        for chunk in log_weights.split(3):
            reservoir.update(chunk)
        first, second = reservoir.indices()
        observed[first * 4 + second] += 1
    assert chi_square_p(observed, plackett_luce_pairs(log_weights.exp())) > 0.01


def test_reservoir_tells_which_samples_to_keep():
    log_weights = torch.randn(100, generator=generator(7)).double()
    reservoir, kept = Reservoir(5, generator(8)), {}
    for start in range(0, 100, 10):
        taken = reservoir.update(log_weights[start : start + 10]).tolist()
        new = {i: f"sample {i}" for i in range(start, start + 10)}
        kept = {i: text for i, text in {**kept, **new}.items() if i in taken}
    assert set(reservoir.indices().tolist()) == set(kept)


@pytest.mark.parametrize("replacement", [True, False])
def test_weight_zero_is_never_drawn(replacement):
    log_weights = torch.tensor([-INF, 0.0, -INF, -INF, -50.0, -INF])
    drawn = resample(log_weights.expand(5000, 6), 2, generator(), replacement)
    assert set(drawn.unique().tolist()) <= {1, 4}
    reservoir = Reservoir(2, generator(), replacement)
    for chunk in log_weights.split(1):
        reservoir.update(chunk)
    assert set(reservoir.indices().tolist()) <= {1, 4}


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
    with pytest.raises(ValueError, match="3 draws without replacement from 2"):
        resample(torch.tensor([0.0, 0.0, -INF]), 3, replacement=False)
    with pytest.raises(ValueError, match="nothing to draw"):
        Reservoir(1).indices()
    reservoir = Reservoir(2)
    reservoir.update(torch.tensor([-INF, -INF]))
    with pytest.raises(ValueError, match="nothing to draw"):
        reservoir.indices()
    reservoir = Reservoir(2, replacement=False)
    reservoir.update(torch.tensor([-INF, 0.0]))
    with pytest.raises(ValueError, match="2 draws without replacement from 1"):
        reservoir.indices()
