"""Draws follow the enumerated joint or quasi-rejection distribution."""

import math

import pytest
import torch

from fairseq_ebm.numerics.acceptance import accept, distance, metropolis_hastings
from tests.toy_world import ToyWorld, chi_square_p

INF = math.inf


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def uniforms(*shape, seed=1):
    return torch.rand(*shape, generator=generator(seed), dtype=torch.float64)


def counts(world, indices):
    return torch.bincount(indices.flatten(), minlength=len(world.sequences))


def test_long_chains_draw_from_the_joint_distribution():
    world = ToyWorld()
    pools, u = world.sample((10_000, 100), generator()), uniforms(10_000, 100)
    draws = torch.stack(
        [pool[metropolis_hastings(-world.energies[pool], row, 1)[0]] for pool, row in zip(pools, u)]
    )
    assert chi_square_p(counts(world, draws), world.log_joint.exp()) > 0.01
    assert chi_square_p(counts(world, draws), world.log_lm.exp()) < 1e-6


def test_acceptance_is_the_expected_one():
    """In the long run Σ_ij p_i q_j min(1, w_j / w_i) of all proposals are accepted."""
    world = ToyWorld()
    pool = world.sample((20_000,), generator())
    draws, share = metropolis_hastings(-world.energies[pool], uniforms(20_000), 4000)
    p, q, w = world.log_joint.exp(), world.log_lm.exp(), torch.exp(-world.energies)
    expected = p @ torch.clamp(w / w.unsqueeze(1), max=1) @ q
    assert share == pytest.approx(float(expected), abs=0.02)
    # States of one chain are dependent, so there is no chi-square test; their shares are right.
    shares = counts(world, pool[draws]) / 4000
    assert float((shares - p).abs().sum() / 2) < 0.06


def test_a_chain_by_hand():
    log_weights = torch.tensor([0.0, 1.0, -1.0, -INF, 0.5])
    u = torch.tensor([0.9, 0.9, 0.2, 0.0, 0.1])
    # 1 replaces 0; exp(-2) < 0.2 keeps 1; weight 0 is never taken; exp(-0.5) > 0.1 takes 4
    draws, share = metropolis_hastings(log_weights, u, 5)
    assert draws.tolist() == [0, 1, 1, 1, 4] and share == 2 / 4
    assert metropolis_hastings(log_weights, u, 2)[0].tolist() == [1, 4]
    assert metropolis_hastings(torch.tensor([-INF, 0.0]), torch.tensor([0.5, 0.5]), 1)[0] == 1


def test_a_chain_refuses():
    with pytest.raises(ValueError, match="6 draws from a chain of 5"):
        metropolis_hastings(torch.zeros(5), torch.zeros(5), 6)
    with pytest.raises(ValueError, match="no proposal has weight"):
        metropolis_hastings(torch.tensor([-INF, -INF]), torch.zeros(2), 1)


@pytest.mark.parametrize("log_beta", [-1.0, 0.0, 1.0, 5.0])
def test_quasi_rejection_draws_what_it_says(log_beta):
    world = ToyWorld()
    pool = world.sample((400_000,), generator())
    accepted = accept(-world.energies[pool], uniforms(400_000), log_beta)
    clipped = world.log_lm + (-world.energies).clamp(max=log_beta)
    exact = torch.softmax(clipped, 0)
    assert chi_square_p(counts(world, pool[accepted]), exact) > 0.01
    estimate = distance(-world.energies[pool], log_beta)
    p = world.log_joint.exp()
    assert estimate.acceptance == pytest.approx(float(accepted.double().mean()), abs=0.005)
    assert estimate.total_variation == pytest.approx(float((p - exact).abs().sum() / 2), abs=0.003)
    assert estimate.kl == pytest.approx(float(p @ (world.log_joint - exact.log())), abs=0.003)


def test_a_larger_threshold_is_closer_and_costs_more():
    world = ToyWorld()
    pool = -world.energies[world.sample((10_000,), generator())]
    distances = [distance(pool, log_beta) for log_beta in (-1.0, 0.0, 1.0, 2.0)]
    assert all(
        a.acceptance > b.acceptance and a.total_variation > b.total_variation and a.kl > b.kl
        for a, b in zip(distances, distances[1:])
    )
    closest = distance(pool, float(pool.max()))
    assert closest.total_variation == pytest.approx(0, abs=1e-12)
    assert closest.kl == pytest.approx(0, abs=1e-12)


def test_weights_of_zero():
    log_weights = torch.tensor([0.0, -INF])
    assert accept(log_weights, torch.tensor([0.5, 0.0]), 0.0).tolist() == [True, False]
    assert distance(log_weights, 0.0) == (0.5, 0.0, 0.0)
