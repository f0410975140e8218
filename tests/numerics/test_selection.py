"""Filters against enumeration, losses and gradients against autograd."""

import itertools
import math

import pytest
import torch
from scipy import stats

from fairseq_ebm.numerics import selection
from fairseq_ebm.numerics.losses import conditional_nce

SCORES = torch.tensor([0.3, -1.0, 1.4, 0.0, -0.2])


def test_weights_are_the_shares_of_a_mean_over_tokens():
    lengths = torch.tensor([3, 9, 1, 5, 2])
    weights = selection.token_weights(torch.zeros(5), lengths)
    torch.testing.assert_close(weights, lengths / 20)
    weights = selection.token_weights(SCORES, lengths)
    expected = lengths * SCORES.exp()
    torch.testing.assert_close(weights, expected / expected.sum())


def inclusion(scores, size):
    """Of each set: the sum over all orders in which it can be drawn, one after the other."""
    weights, found = scores.exp().tolist(), {}
    for order in itertools.permutations(range(len(weights)), size):
        left, p = sum(weights), 1.0
        for each in order:
            p *= weights[each] / left
            left -= weights[each]
        found[tuple(sorted(order))] = found.get(tuple(sorted(order)), 0.0) + p
    return found


@pytest.mark.parametrize("size", [1, 2, 4])
def test_sets_are_drawn_as_often_as_enumeration_says(size):
    generator, draws = torch.Generator().manual_seed(size), 20_000
    counts = dict.fromkeys(itertools.combinations(range(5), size), 0)
    for uniforms in torch.rand(draws, 5, generator=generator, dtype=torch.float64):
        counts[tuple(selection.without_replacement(SCORES, size, uniforms).tolist())] += 1
    expected = inclusion(SCORES.double(), size)
    assert math.isclose(sum(expected.values()), 1.0)
    observed = [counts[key] for key in expected]
    assert stats.chisquare(observed, [draws * p for p in expected.values()]).pvalue > 1e-3


def test_extreme_uniforms_and_scores():
    uniforms = torch.tensor([0.0, 0.5, 1 - 2**-53])
    assert selection.without_replacement(torch.zeros(3), 3, uniforms).tolist() == [0, 1, 2]
    assert selection.without_replacement(torch.zeros(3), 2, uniforms).tolist() == [1, 2]
    never = torch.tensor([0.0, -math.inf, 0.0])
    assert selection.without_replacement(never, 2, torch.full((3,), 0.5)).tolist() == [0, 2]
    huge = torch.tensor([0.0, 1e4, -1e4])
    assert selection.without_replacement(huge, 1, uniforms).tolist() == [1]


def test_the_highest_and_of_equal_ones_the_first():
    assert selection.top(torch.tensor([1.0, 3.0, 3.0, 2.0, 3.0]), 2).tolist() == [1, 2]
    assert selection.top(torch.zeros(6), 3).tolist() == [0, 1, 2]


def test_concentration():
    assert selection.concentration(torch.zeros(8), 2) == pytest.approx(0.25)
    assert selection.concentration(torch.tensor([0.0, 50.0, 0.0]), 1) == pytest.approx(1.0)


def test_the_classifier_is_half_of_conditional_nce():
    """With s = -E: specific text is the real one."""
    generator = torch.Generator().manual_seed(0)
    generic, specific = (torch.randn(n, generator=generator) for n in (40, 6))
    nce = conditional_nce(-specific, -generic.expand(6, -1)).mean()
    torch.testing.assert_close(selection.classifier_loss(generic, specific), nce / 2)


@pytest.mark.parametrize("metric", ["identity", "hessian"])
def test_gradient_of_the_alignment(metric):
    generator = torch.Generator().manual_seed(1)
    u, g = (torch.randn(7, generator=generator, dtype=torch.float64) for _ in range(2))
    root = torch.randn(7, 7, generator=generator, dtype=torch.float64)
    matrix = torch.eye(7).double() if metric == "identity" else root @ root.T
    u.requires_grad_()
    value = -torch.dot(u, g) / ((u @ matrix @ u).sqrt() + 1e-6)
    value.backward()
    metric_u = (matrix @ u).detach()
    torch.testing.assert_close(selection.alignment(u.detach(), g, metric_u), -value.detach())
    torch.testing.assert_close(selection.alignment_gradient(u.detach(), g, metric_u), u.grad)
