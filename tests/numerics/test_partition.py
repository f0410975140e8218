"""log Z: closed form, leave-one-out form and 60-digit arithmetic agree; the truth is bracketed."""

import math

import pytest
import torch
from mpmath import mp, mpf
from torch.distributions import Binomial

from fairseq_ebm.numerics.partition import log_partition_bounds
from tests.toy_world import ToyWorld

INF = math.inf


def exact_bounds(energies):
    """(lower, upper, jackknife) by their definitions, leaving out one by one, in 60 digits."""
    with mp.workdps(60):
        weights = [mp.exp(-mpf(float(e))) for e in energies]
        n = len(weights)
        t_n = mp.log(mp.fsum(weights) / n)
        left_out = [mp.log(mp.fsum(weights[:i] + weights[i + 1 :]) / (n - 1)) for i in range(n)]
        t_less = mp.fsum(left_out) / n
        return (
            float(t_n),
            float((2 * n - 1) * t_n - 2 * (n - 1) * t_less),
            float(n * t_n - (n - 1) * t_less),
        )


def closed_form_upper(energies):
    """The upper bound as the papers state it, without care for p near 1."""
    n = len(energies)
    t_n = torch.logsumexp(-energies, 0) - math.log(n)
    p = torch.softmax(-energies, 0)
    return t_n + 2 * (n - 1) * (math.log1p(-1 / n) - torch.log1p(-p).mean())


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def one_weight_of(share, n):
    """Energies with which the first sample has ``share`` of the weight, and the others equally
    much."""
    others = math.log(n - 1) - math.log(1 - share) if share < 1 else INF
    return torch.tensor([0.0] + [others] * (n - 1), dtype=torch.float64)


POOLS = {
    "normal": torch.randn(200, generator=generator(1), dtype=torch.float64),
    "heavy": 5 * torch.randn(200, generator=generator(2), dtype=torch.float64),
    "two": torch.tensor([0.3, -1.7], dtype=torch.float64),
    "two_equal": torch.full((2,), 3.0, dtype=torch.float64),
    "equal": torch.full((50,), -2.5, dtype=torch.float64),
    "one_near_1": one_weight_of(1 - 1e-12, 40),
    "one_near_1_of_2": one_weight_of(1 - 1e-12, 2),
    "two_halves": torch.tensor([0.0, 0.0, 40.0, 41.0], dtype=torch.float64),
    "huge": 1e4 * torch.randn(30, generator=generator(3), dtype=torch.float64).sign(),
    "huge_one": torch.tensor([-1e4] + [1e4] * 9, dtype=torch.float64),
    "huge_other": torch.tensor([1e4] + [-1e4] * 9, dtype=torch.float64),
    "huge_shifted": 1e4 + torch.randn(100, generator=generator(4), dtype=torch.float64),
}


@pytest.mark.parametrize("name", POOLS)
def test_equals_leave_one_out_in_60_digits(name):
    bounds = log_partition_bounds(POOLS[name])
    lower, upper, jackknife = exact_bounds(POOLS[name])
    assert abs(float(bounds.lower) - lower) < 1e-9
    assert abs(float(bounds.upper) - upper) < 1e-9
    assert abs(float(bounds.jackknife) - jackknife) < 1e-9


@pytest.mark.parametrize("n", [2, 3, 10, 100, 1000])
def test_equals_the_closed_form(n):
    energies = torch.randn(n, generator=generator(n), dtype=torch.float64)
    assert abs(log_partition_bounds(energies).upper - closed_form_upper(energies)) < 1e-9


def test_upper_is_never_below_lower():
    pools = torch.randn(10_000, 7, generator=generator(), dtype=torch.float64)
    pools *= torch.logspace(-8, 3, 10_000, dtype=torch.float64).unsqueeze(-1)
    bounds = log_partition_bounds(pools)
    assert (bounds.upper >= bounds.lower).all()
    assert (bounds.jackknife >= bounds.lower).all() and (bounds.upper >= bounds.jackknife).all()


def test_brackets_the_true_log_z():
    world = ToyWorld()
    pools = world.energies[world.sample((20_000, 32), generator())]
    bounds = log_partition_bounds(pools)
    error = {
        name: (getattr(bounds, name).mean() - world.log_z).item()
        for name in ("lower", "upper", "jackknife")
    }
    spread = bounds.upper.std().item() / math.sqrt(len(pools))
    assert error["lower"] < -3 * spread
    assert error["upper"] > 3 * spread
    assert abs(error["jackknife"]) < 3 * spread < min(-error["lower"], error["upper"])


def biases(share, energy, n):
    """Of each estimate, exactly, in a world of two kinds of text: one of energy 0, the other of
    ``energy`` and probability ``share``. The expectation is over the latter's binomial number."""
    counts = Binomial(n, torch.tensor(share, dtype=torch.float64)).enumerate_support()
    log_p = Binomial(n, torch.tensor(share, dtype=torch.float64)).log_prob(counts)
    likely = log_p > -60
    means = {"lower": 0.0, "upper": 0.0, "jackknife": 0.0}
    for count, p in zip(counts[likely].split(500), log_p[likely].exp().split(500)):
        pools = energy * (torch.arange(n) < count.unsqueeze(1)).double()
        bounds = log_partition_bounds(pools)
        for name in means:
            means[name] += float(p @ getattr(bounds, name))
    log_z = math.log1p(share * math.expm1(-energy))
    return {name: value - log_z for name, value in means.items()}


@pytest.mark.parametrize("share, energy", [(0.5, -1.0), (0.3, 1.5), (0.2, -2.0)])
def test_how_fast_they_close_in(share, energy):
    """The bounds from both sides like 1/n, the jackknife like 1/n²."""
    bias = {n: biases(share, energy, n) for n in (100, 1000, 10_000)}
    for few, many in ((bias[100], bias[1000]), (bias[1000], bias[10_000])):
        assert few["lower"] < many["lower"] < 0 < many["upper"] < few["upper"]
        assert few["lower"] / many["lower"] == pytest.approx(10, rel=0.1)
        assert few["upper"] / many["upper"] == pytest.approx(10, rel=0.2)
        assert few["jackknife"] / many["jackknife"] == pytest.approx(100, rel=0.2)


def test_the_upper_bound_needs_many_samples():
    """A rare kind of text has half of Z: few samples miss it, and so do both bounds."""
    bias = {n: biases(1e-3, -math.log(1000), n) for n in (10, 100, 1000, 10_000)}
    assert bias[10]["lower"] < bias[10]["upper"] < -0.3
    assert bias[100]["upper"] < 0 < bias[10_000]["upper"]
    assert all(each["lower"] < 0 for each in bias.values())


def test_batches_equal_single_pools():
    pools = torch.randn(3, 5, 60, generator=generator(), dtype=torch.float64)
    together = log_partition_bounds(pools)
    alone = log_partition_bounds(pools[1, 2])
    assert together.lower.shape == (3, 5)
    assert all(torch.equal(b[1, 2], a) for b, a in zip(together, alone))


def test_constant_energies_are_exact():
    bounds = log_partition_bounds(torch.full((1000,), 0.75))
    assert abs(float(bounds.lower) + 0.75) < 1e-12
    assert abs(float(bounds.upper) + 0.75) < 1e-12
    assert float(bounds.ess) == pytest.approx(1000)
    assert math.isnan(float(bounds.pareto_k))


def test_infinite_energy_is_weight_zero():
    bounds = log_partition_bounds(torch.tensor([0.0, 0.5, INF]))
    assert float(bounds.lower) == pytest.approx(math.log((1 + math.exp(-0.5)) / 3))
    assert math.isfinite(bounds.upper)
    assert log_partition_bounds(torch.tensor([0.0, INF, INF])).upper == INF


@pytest.mark.parametrize(
    ("energies", "message"),
    [
        ([1.0], "at least 2"),
        ([0.0, math.nan], "NaN"),
        ([0.0, -INF], "-inf"),
        ([INF, INF], "every weight"),
    ],
)
def test_refuses_what_has_no_bounds(energies, message):
    with pytest.raises(ValueError, match=message):
        log_partition_bounds(torch.tensor(energies))


def test_half_precision_energies_are_summed_in_double():
    energies = torch.randn(500, generator=generator()).half()
    assert torch.equal(
        log_partition_bounds(energies).lower, log_partition_bounds(energies.double()).lower
    )
