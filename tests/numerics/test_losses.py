"""Losses by their formulas; their optima in the toy world, by exact expectation."""

import math

import pytest
import torch

from fairseq_ebm.numerics.losses import (
    conditional_nce,
    hardest_negative,
    margin_ranking,
    ranking_nce,
)
from tests.toy_world import ToyWorld

POSITIVE = torch.tensor([0.3, -1.2, 40.0], dtype=torch.float64)
NEGATIVES = torch.tensor([[1.0, -0.5], [0.0, 2.0], [-300.0, 800.0]], dtype=torch.float64)


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def test_conditional_nce_is_its_formula():
    expected = [
        softplus(p) + sum(softplus(-n) for n in row) / 2
        for p, row in zip(POSITIVE.tolist(), NEGATIVES.tolist())
    ]
    assert conditional_nce(POSITIVE, NEGATIVES).tolist() == pytest.approx(expected, abs=1e-12)


def test_ranking_nce_is_its_formula():
    expected = [
        p
        + max(-e for e in (p, *row))
        + math.log(sum(math.exp(-e - max(-e for e in (p, *row))) for e in (p, *row)))
        for p, row in zip(POSITIVE.tolist(), NEGATIVES.tolist())
    ]
    assert ranking_nce(POSITIVE, NEGATIVES).tolist() == pytest.approx(expected, abs=1e-12)


def test_margin_ranking_is_its_formula():
    expected = [
        sum(max(0.0, 0.1 + p - n) for n in row) / 2
        for p, row in zip(POSITIVE.tolist(), NEGATIVES.tolist())
    ]
    assert margin_ranking(POSITIVE, NEGATIVES, 0.1).tolist() == pytest.approx(expected)


def test_hardest_negative_looks_most_real():
    assert hardest_negative(NEGATIVES).tolist() == [1, 0, 0]


@pytest.mark.parametrize("k", [1, 5])
def test_losses_of_an_energy_that_knows_nothing(k):
    zero, zeros = torch.zeros(4), torch.zeros(4, k)
    assert conditional_nce(zero, zeros).tolist() == pytest.approx([math.log(4)] * 4)
    assert ranking_nce(zero, zeros).tolist() == pytest.approx([math.log(k + 1)] * 4)
    assert margin_ranking(zero, zeros, 0.7).tolist() == pytest.approx([0.7] * 4)


def expected_gradient(loss, energies, world, k):
    """Gradient of E_data E_LM^k loss at ``energies`` (V^T,), the first token being the prefix.

    Every positive is paired with every combination of k negatives of its prefix, and weighted by
    P_data(prefix) P_data(x⁺ | prefix) Π P_LM(x⁻ | prefix): an expectation without sampling.
    """
    energies = energies.clone().requires_grad_()
    rows = world.by_prefix(energies)  # (V, M)
    m = rows.size(1)
    prefix = world.data_tables[0].exp()
    data = world.by_prefix(world.log_prob(world.data_tables, start=1)).exp()
    lm = world.by_prefix(world.log_prob(world.lm_tables, start=1)).exp()
    choice = torch.cartesian_prod(*[torch.arange(m)] * (k + 1))  # (M^(k+1), k + 1)
    total = torch.zeros((), dtype=torch.float64)
    for row, p_prefix, p_data, p_lm in zip(rows, prefix, data, lm):
        weight = p_prefix * p_data[choice[:, 0]] * p_lm[choice[:, 1:]].prod(-1)
        total = total + (weight * loss(row[choice[:, 0]], row[choice[:, 1:]])).sum()
    (gradient,) = torch.autograd.grad(total, energies)
    return gradient


def optimal_energy(world):
    return world.log_prob(world.lm_tables, 1) - world.log_prob(world.data_tables, 1)


@pytest.mark.parametrize("k", [1, 2])
def test_conditional_nce_is_stationary_at_the_density_ratio(k):
    world = ToyWorld()
    optimum = optimal_energy(world)
    assert expected_gradient(conditional_nce, optimum, world, k).abs().max() < 1e-15
    assert expected_gradient(conditional_nce, optimum + 0.1, world, k).abs().max() > 1e-4


def test_a_sum_over_negatives_would_shift_the_optimum_by_log_k():
    def summed(positive, negatives):
        return torch.nn.functional.softplus(positive) + torch.nn.functional.softplus(
            -negatives
        ).sum(-1)

    world = ToyWorld()
    optimum = optimal_energy(world)
    assert expected_gradient(summed, optimum, world, 2).abs().max() > 1e-3
    assert expected_gradient(summed, optimum + math.log(2), world, 2).abs().max() < 1e-15


@pytest.mark.parametrize("k", [1, 2])
def test_ranking_nce_is_stationary_up_to_a_constant_per_prefix(k):
    world = ToyWorld()
    constants = torch.tensor([-2.0, 0.0, 1.0, 7.0]).double().repeat_interleave(16)
    optimum = optimal_energy(world) + constants
    assert expected_gradient(ranking_nce, optimum, world, k).abs().max() < 1e-15
    off = optimum + 0.1 * torch.arange(64).double()
    assert expected_gradient(ranking_nce, off, world, k).abs().max() > 1e-4
    assert expected_gradient(conditional_nce, optimum, world, k).abs().max() > 1e-2


@pytest.mark.parametrize("loss", [conditional_nce, ranking_nce, margin_ranking])
@pytest.mark.parametrize("shapes", [((3, 1), (3, 2)), ((3,), (2, 2)), ((3,), (3,)), ((3,), (3, 0))])
def test_shapes_that_would_mix_prefixes_are_refused(loss, shapes):
    with pytest.raises(ValueError, match="expected"):
        loss(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
