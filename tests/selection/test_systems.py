"""Gradients of the weighting network against those of the true objectives, where these have a
closed form: weighted least squares, examples of unequal lengths."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fairseq_ebm.numerics.selection import token_weights
from fairseq_ebm.selection.anograd import Anograd
from fairseq_ebm.selection.classifier import Classifier
from fairseq_ebm.selection.dds import DDS
from fairseq_ebm.selection.generic import Generic, Mix
from fairseq_ebm.selection.soba import Soba
from fairseq_ebm.selection.system import Update

PADDING, WIDTH = 1, 4


class Network(nn.Module):
    """E(x) of its tokens alone, in float64."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(20, 3, PADDING).double()

    def energy(self, tokens):
        return self.embedding(tokens).sum(dim=1).tanh().sum(dim=1)


class Squares:
    """ℓ̄_x(θ) = ½ (⟨a_x, θ⟩ − y_x)², with the interface of ``Landscape`` and no differences."""

    padding = PADDING

    def __init__(self, theta):
        self.theta = theta

    @staticmethod
    def losses(sample, at):
        return 0.5 * (sample["a"] @ at - sample["y"]).square()

    @staticmethod
    def mean_weights(sample):
        lengths = sample["target"].ne(PADDING).sum(dim=1).double()
        return lengths / lengths.sum()

    def gradient(self, sample, weights=None, at=None):
        at = self.theta if at is None else at
        weights = self.mean_weights(sample) if weights is None else weights
        residuals = sample["a"] @ at - sample["y"]
        return self.losses(sample, at), sample["a"].T @ (weights * residuals)

    def along(self, sample, direction):
        return (sample["a"] @ self.theta - sample["y"]) * (sample["a"] @ direction)

    def curvature(self, sample, direction):
        weights = self.mean_weights(sample)
        product = sample["a"].T @ (weights * (sample["a"] @ direction))
        return self.along(sample, direction), product


def batch(size, seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(4, 20, (size, 6), generator=generator)
    for row in range(size):
        tokens[row, 1 + (row + seed) % 6 :] = PADDING
    a = torch.randn(size, WIDTH, generator=generator, dtype=torch.float64)
    y = torch.randn(size, generator=generator, dtype=torch.float64)
    return {"target": tokens, "a": a, "y": y, "nsentences": size}


@pytest.fixture
def problem():
    generic, specific = batch(9, 0), batch(7, 1)
    theta = torch.linspace(-1, 1, WIDTH).double()
    network = Network()
    lengths = generic["target"].ne(PADDING).sum(dim=1)
    return SimpleNamespace(
        landscape=Squares(theta), network=network, generic=generic, specific=specific,
        update=Update(torch.zeros(9), generic, generic, specific),
        scores=lambda: -network.energy(generic["target"]), lengths=lengths,
    )  # fmt: skip


def specific_loss(problem, at):
    landscape, sample = problem.landscape, problem.specific
    return torch.dot(landscape.mean_weights(sample), landscape.losses(sample, at))


def require_gradient(problem, system, objective, scale=1.0):
    problem.network.zero_grad()
    system.loss(problem.update, problem.landscape)[0].backward()
    ours = problem.network.embedding.weight.grad.clone()
    problem.network.zero_grad()
    objective.backward()
    truth = problem.network.embedding.weight.grad
    assert truth.abs().max() > 1e-4
    torch.testing.assert_close(scale * ours, truth, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("ahead", [0.1, 0.7])
def test_dds_looks_one_step_ahead(problem, ahead):
    weights = token_weights(problem.scores(), problem.lengths)
    theta = problem.landscape.theta.clone().requires_grad_()
    inner = torch.dot(weights, problem.landscape.losses(problem.generic, theta))
    (step,) = torch.autograd.grad(inner, theta, create_graph=True)
    objective = specific_loss(problem, theta - ahead * step)
    require_gradient(problem, DDS(problem.network, 0.1, ahead), objective)


def test_dds_at_zero_is_the_limit(problem):
    """Of the gradient, divided by η."""
    tiny = 1e-7
    weights = token_weights(problem.scores(), problem.lengths)
    step = problem.landscape.gradient(problem.generic, weights)[1]
    objective = specific_loss(problem, problem.landscape.theta - tiny * step)
    system = DDS(problem.network, 0.1, 0.0)
    system.loss(problem.update, problem.landscape)[0].backward()
    ours = problem.network.embedding.weight.grad.clone()
    problem.network.zero_grad()
    objective.backward()
    torch.testing.assert_close(ours, problem.network.embedding.weight.grad / tiny, rtol=1e-5,
                               atol=1e-7)  # fmt: skip


@pytest.mark.parametrize("by_hessian", [False, True])
def test_anograd_aligns_its_step(problem, by_hessian):
    """ω is no longer times n: it is the gradients of whole examples that it weighs."""
    omega = torch.softmax(problem.scores(), dim=0)
    total = problem.lengths.sum()
    residuals = problem.generic["a"] @ problem.landscape.theta - problem.generic["y"]
    gradients = problem.lengths[:, None] * problem.generic["a"] * residuals[:, None]  # of ℓ, summed
    u = (omega[:, None] * gradients).sum(dim=0) / total
    g = problem.landscape.gradient(problem.specific)[1]
    bent = problem.landscape.curvature(problem.specific, u)[1] if by_hessian else u
    objective = -torch.dot(u, g) / (torch.dot(u, bent).sqrt() + 1e-6)
    require_gradient(problem, Anograd(problem.network, 0.1, by_hessian), objective)


def test_anograd_makes_no_step_where_there_is_no_norm(problem):
    system = Anograd(problem.network, 0.1, by_hessian=True)
    figures = system.learn(problem.update, problem.landscape, 0.1)  # Adam has momentum now
    assert figures["without_norm"] == 0
    problem.landscape.curvature = lambda sample, direction: (None, -direction)
    before = problem.network.embedding.weight.clone()
    figures = system.learn(problem.update, problem.landscape, 0.1)
    assert figures["without_norm"] == 1
    torch.testing.assert_close(problem.network.embedding.weight, before, rtol=0, atol=0)


def solution(problem, weights):
    a, y = problem.generic["a"], problem.generic["y"]
    weighted = weights[:, None] * a
    return torch.linalg.solve(a.T @ weighted, weighted.T @ y)


def test_soba_has_the_gradient_of_the_solved_problem(problem):
    """At θ*(α) and v* = −H⁻¹ ∇L(specific), H of the weighted loss."""
    weights = token_weights(problem.scores(), problem.lengths)
    objective = specific_loss(problem, solution(problem, weights))
    problem.landscape.theta = solution(problem, weights).detach()
    a = problem.generic["a"]
    hessian = (a.T @ (weights[:, None] * a)).detach()
    g = problem.landscape.gradient(problem.specific)[1]
    system = Soba(problem.network, 0.1, by_hessian=True, ridge=0.0)
    system._begin(torch.zeros(WIDTH).double())
    system._v.copy_(-torch.linalg.solve(hessian, g))
    require_gradient(problem, system, objective)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_soba_moves_v_to_its_fixed_point(problem, ridge):
    system = Soba(problem.network, 0.0, by_hessian=True, ridge=ridge)
    for step in range(4000):
        system.learn(problem.update, problem.landscape, 0.3 / (1 + step / 50))
    weights = problem.landscape.mean_weights(problem.generic)
    a = problem.generic["a"]
    hessian = (1 - ridge) * a.T @ (weights[:, None] * a) + ridge * torch.eye(WIDTH).double()
    g = problem.landscape.gradient(problem.specific)[1]
    torch.testing.assert_close(system._v, -torch.linalg.solve(hessian, g), rtol=1e-2, atol=1e-2)


def test_soba_without_the_hessian_moves_v_against_the_gradient(problem):
    system = Soba(problem.network, 0.1, by_hessian=False, ridge=0.0)
    system.learn(problem.update, problem.landscape, 0.01)
    g = problem.landscape.gradient(problem.specific)[1]
    torch.testing.assert_close(system._v.sign(), -g.sign())
    v = system._v.clone()
    system.loss(problem.update, problem.landscape)
    torch.testing.assert_close(system._v.grad, g)
    weights = token_weights(problem.scores(), problem.lengths)
    objective = torch.dot(weights, problem.landscape.along(problem.generic, v))
    require_gradient(problem, system, objective)


def test_soba_goes_on_as_if_nothing_had_happened(problem):
    def steps(system, number):
        for _ in range(number):
            system.learn(problem.update, problem.landscape, 0.05)

    whole = Soba(Network(), 0.1, by_hessian=True, ridge=0.1)
    steps(whole, 6)
    first = Soba(Network(), 0.1, by_hessian=True, ridge=0.1)
    steps(first, 3)
    second = Soba(Network(), 0.1, by_hessian=True, ridge=0.1)
    second.restore(first.state())
    assert second.state()["v"] is not None
    steps(second, 3)
    torch.testing.assert_close(second._v, whole._v, rtol=0, atol=0)
    ours, theirs = second.network.embedding.weight, whole.network.embedding.weight
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_the_classifier_learns_from_the_scores_that_chose(problem):
    problem.network.zero_grad()
    system = Classifier(problem.network, 0.05)
    for _ in range(60):
        update = Update(system.scores(problem.generic), None, None, problem.specific)
        figures = system.learn(update, None, 0.1)
    assert figures["accuracy"] > 0.9 and figures["objective"] < 0.4
    assert system.choose(torch.tensor([0.0, 2.0, 1.0]), 2, torch.rand(3)).tolist() == [1, 2]


def test_what_learns_nothing(problem):
    for system in (Generic(), Mix(0.9)):
        scores = system.scores(problem.generic)
        assert not scores.any() and len(scores) == 9
        assert system.learn(problem.update, None, 0.1) == {} == system.state()
        assert system.choose(scores, 9, torch.rand(9)).tolist() == list(range(9))
    assert Generic().specific_weight == 0.0
    assert Mix(0.9).specific_weight == pytest.approx(0.1)


def test_scores_are_the_energies_below_zero(problem):
    scores = DDS(problem.network, 0.1, 0.0).scores(problem.generic)
    torch.testing.assert_close(scores, -problem.network.energy(problem.generic["target"]))
