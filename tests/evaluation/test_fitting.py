"""Weights of a formula: those that are likeliest by enumeration."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from fairseq_ebm.errors import UserError
from fairseq_ebm.evaluation.fitting import fit, mean_nats
from fairseq_ebm.evaluation.log_probs import EvaluationOptions
from fairseq_ebm.joint.formula import Expert, WeightedSum
from fairseq_ebm.joint.model import Joint
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.lm.scoring import token_log_probs
from tests.evaluation.worlds import FixedWindows
from tests.lm.models import build

LENGTH, COUNT = 2, 400
TRUE = (0.7, -0.4)


@pytest.fixture(scope="module")
def world():
    """Windows drawn from P_base · P_expert^0.4 · exp(-0.7 E), and all continuations of their
    prefix with what the terms say of them."""
    base, expert = build("post-norm"), build("lstm")
    table = torch.randn(12, generator=torch.Generator().manual_seed(3)).double()
    terms = [lambda windows, shared: table[windows[..., 2:]].sum(dim=-1), Expert(expert)]
    symbols = [i for i in range(12) if i != 1]
    every = torch.tensor([[5, 7, *rest] for rest in itertools.product(symbols, repeat=LENGTH)])
    features = torch.stack([term(every[None], 0)[0].double() for term in terms], dim=1)
    log_p = token_log_probs(base, every, 2, without_padding=True).double().sum(dim=1)
    joint = torch.softmax(log_p - features @ torch.tensor(TRUE).double(), dim=0)
    generator = torch.Generator().manual_seed(1)
    drawn = torch.multinomial(joint, COUNT, replacement=True, generator=generator)
    return Joint(base, Sampler(base), WeightedSum(terms, (1.0, -1.0))), every[drawn], (
        features, log_p, drawn,
    )  # fmt: skip


def likeliest(features, log_p, drawn):
    """By enumeration."""

    def loss(theta):
        scores = features @ torch.from_numpy(theta)
        return float(scores[drawn].mean() + torch.logsumexp(log_p - scores, dim=0))

    return minimize(loss, np.zeros(2), method="BFGS").x, loss


def test_the_likeliest_weights(world):
    joint, windows, enumerated = world
    expected, loss = likeliest(*enumerated)
    options = EvaluationOptions(num_samples=1000)
    fitted = fit(joint, FixedWindows(windows, 2), options)
    assert fitted.weights == pytest.approx(expected, abs=0.03)
    assert fitted.weights == pytest.approx(TRUE, abs=0.3)
    gain = loss(np.zeros(2)) - loss(np.array(fitted.weights))
    assert fitted.nats == pytest.approx(gain, abs=0.01)
    assert (fitted.num_windows, fitted.num_samples) == (COUNT, 1000)


def test_few_samples_do_not_lead_to_large_weights(world):
    """With what the estimate of log Z alone says they would grow."""
    joint, windows, enumerated = world
    expected, _ = likeliest(*enumerated)
    fitted = fit(joint, FixedWindows(windows, 2), EvaluationOptions(num_samples=16))
    assert np.abs(fitted.weights).max() < 1.3 * np.abs(expected).max()


def test_energies_that_know_real_text_do_not_get_weights_without_end():
    """In most windows no sample is as good as real text: a Z of samples alone falls behind it
    linearly, however large the weights are."""
    generator = torch.Generator().manual_seed(1)
    pools = torch.randn(200, 32, 1, generator=generator).double()
    real = torch.randn(200, 1, generator=generator).double() - 3
    assert (real < pools.amin(dim=1)).double().mean() > 0.7
    none, some, many = (
        float(mean_nats(torch.tensor([t]).double(), real, pools)) for t in (0.0, 3.0, 1000.0)
    )
    assert none == pytest.approx(0, abs=1e-12) and some < -1 and many > 1


def test_where_weights_have_no_end(world):
    """An energy that is lower of each window than of all its samples."""
    joint, windows, _ = world
    known = {tuple(window) for window in windows[:3].tolist()}

    def energy(read, shared):
        return torch.tensor([[float(tuple(w) not in known) for w in row] for row in read.tolist()])

    told_apart = Joint(joint.model, joint.sampler, energy)
    with pytest.raises(UserError, match="no sample is as good as real text: weights have no end"):
        fit(told_apart, FixedWindows(windows[:3], 2), EvaluationOptions(num_samples=2))
