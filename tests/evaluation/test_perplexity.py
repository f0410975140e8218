import math

import numpy as np
import pytest
import torch

from fairseq_ebm.evaluation import perplexity
from fairseq_ebm.evaluation.log_probs import Bounds, EvaluationOptions, WindowResult
from fairseq_ebm.evaluation.perplexity import base_report, interval, joint_report
from tests.evaluation.test_log_probs import results_of
from tests.evaluation.worlds import (
    PREFIX,
    WINDOW,
    FixedWindows,
    joint,
    log_z,
    random_energy,
    random_windows,
)

TOKENS = WINDOW - PREFIX


def true_log_probs(world, texts, prefix_length):
    """log P of the joint model after a prefix (W,), by enumeration."""
    return torch.tensor(
        [
            float(world.token_log_probs(w.unsqueeze(0), prefix_length).sum())
            - float(world.energies(w.view(1, 1, -1), 0))
            - log_z(world, w, prefix_length)
            for w in texts
        ]
    )


def report_of(world, texts, **options):
    results = results_of(world, FixedWindows(texts), **options)
    return joint_report(results, PREFIX + 1, TOKENS, EvaluationOptions(**options))


def test_the_joint_perplexity_is_the_enumerated_one():
    world, texts = joint(random_energy()), random_windows(12)
    truth = math.exp(-float(true_log_probs(world, texts, PREFIX).mean()) / TOKENS)
    report = report_of(world, texts, num_samples=4000, sample_curve=(10, 100, 4000))
    assert report["joint_ppl"] == pytest.approx(truth, rel=5e-3)
    assert report["joint_ppl_lower"] < report["joint_ppl"] < report["joint_ppl_upper"]
    gaps = [row["upper"] - row["lower"] for row in report["curve"]]
    assert gaps[0] > gaps[1] > gaps[2] and report["curve"][2]["joint"] == report["joint_ppl"]
    assert report["gain"] == pytest.approx(1 - report["joint_ppl_upper"] / report["base_ppl"])
    low, high = report["gain_ci95"]
    assert low < report["gain"] < high


def test_every_position_is_the_enumerated_one():
    world, texts = joint(random_energy()), random_windows(6)
    options = {"num_samples": 4000, "per_position": True, "exact_last_position": True}
    report = report_of(world, texts, **options)
    totals = [true_log_probs(world, texts, PREFIX + t) for t in range(TOKENS)]
    totals.append(torch.zeros(len(texts)))
    for t, row in enumerate(report["per_position"]):
        truth = math.exp(-float((totals[t] - totals[t + 1]).mean()))
        assert row["position"] == PREFIX + t + 1
        assert row["lower"] <= row["upper"]
        assert row["lower"] == pytest.approx(truth, rel=0.03)
        assert row["upper"] == pytest.approx(truth, rel=0.03)
    last = report["last_position"]
    assert last["exact"] == pytest.approx(truth, rel=1e-5)
    assert last["base_ppl"] == pytest.approx(report["per_position"][-1]["base_ppl"], abs=1e-9)
    assert (last["lower"], last["upper"]) == (row["lower"], row["upper"])


def test_no_energy_leaves_the_base():
    world = joint(lambda w, shared: torch.zeros(w.shape[:2]))
    options = {"num_samples": 16, "per_position": True, "exact_last_position": True}
    report = report_of(world, random_windows(7), **options)
    for name in ("joint_ppl_lower", "joint_ppl_upper", "joint_ppl"):
        assert report[name] == pytest.approx(report["base_ppl"], rel=1e-12)
        assert report[f"{name}_ci95"] == report["base_ppl_ci95"]
    assert report["gain"] == pytest.approx(0, abs=1e-12)
    for row in (*report["per_position"], report["last_position"]):
        assert row["lower"] == pytest.approx(row["base_ppl"], rel=1e-9)
        assert row["upper"] == pytest.approx(row["base_ppl"], rel=1e-9)
    assert report["last_position"]["exact"] == pytest.approx(report["last_position"]["base_ppl"])
    assert report["warnings"] == []


def window(number, log_lm, energy=0.0, log_z=0.0, **more):
    values = {"ess": 50.0, "pareto_k": 0.2, **more}
    return WindowResult(number, log_lm, energy, Bounds(log_z, log_z, log_z), **values)


def test_intervals_cover_what_they_should():
    """Of 200 intervals of 95%, at least nine in ten must contain the truth."""
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        values = generator.normal(-40.0, 10.0, size=30)
        low, high = interval(values, 20, seed)
        hits += low < math.exp(2.0) < high
    assert 180 <= hits <= 198


def test_the_gain_is_paired():
    """Windows of very different difficulty, all made easier by about the same amount."""
    generator = np.random.default_rng(0)
    results = [
        window(i, -float(base), energy=float(noise))
        for i, (base, noise) in enumerate(
            zip(generator.uniform(50, 150, 40), generator.normal(-2.0, 0.1, 40))
        )
    ]
    report = joint_report(results, 1, 40, EvaluationOptions())
    assert report["gain"] == pytest.approx(1 - math.exp(-2 / 40), rel=0.05)
    assert report["gain_ci95"][1] - report["gain_ci95"][0] < 0.005
    assert report["base_ppl_ci95"][1] - report["base_ppl_ci95"][0] > 2


def test_one_window_has_no_interval():
    report = joint_report([window(0, -40.0)], 1, 20, EvaluationOptions())
    assert report["base_ppl"] == pytest.approx(math.exp(2))
    assert report["base_ppl_ci95"] is None and report["gain_ci95"] is None
    assert base_report([window(0, -40.0)], 20, 1)["num_windows"] == 1


@pytest.mark.parametrize(
    "change, words",
    [
        ({"pareto_k": 0.9}, "Pareto k-hat is above 0.7 on 100% of the windows"),
        ({"pareto_k": math.inf}, "Pareto k-hat is above 0.7 on 100% of the windows"),
        ({"ess": 3.0}, "of 1000 samples 3.0 count on average"),
        ({"log_z": 2.0}, "mean log Z is 2.00"),
    ],
)
def test_warnings(change, words):
    calm = [window(i, -40.0) for i in range(5)]
    assert joint_report(calm, 1, 20, EvaluationOptions())["warnings"] == []
    bad = [window(i, -40.0, **change) for i in range(5)]
    (warning,) = joint_report(bad, 1, 20, EvaluationOptions())["warnings"]
    assert words in warning


def test_no_tail_to_fit_is_no_warning():
    results = [window(i, -40.0, pareto_k=math.nan) for i in range(5)]
    report = joint_report(results, 1, 20, EvaluationOptions())
    assert report["pareto_k"] == {"mean": None, "share_above_0_7": 0.0}
    assert report["warnings"] == []


def test_bounds_far_apart():
    results = [
        WindowResult(i, -40.0, 0.0, Bounds(-0.5, 0.5, 0.0), ess=50.0, pareto_k=0.2)
        for i in range(5)
    ]
    (warning,) = joint_report(results, 1, 20, EvaluationOptions())["warnings"]
    assert "more than 2% apart" in warning


def test_a_curve_that_has_not_become_level():
    curve = [Bounds(0.0, 0.0, 0.0), Bounds(0.5, 0.5, 0.5)]
    results = [window(i, -40.0, log_z=0.5, curve=curve) for i in range(5)]
    report = joint_report(results, 1, 20, EvaluationOptions(sample_curve=(10, 1000)))
    assert "has not become level" in report["warnings"][0]


def test_a_heavy_tailed_energy_gets_a_warning():
    """exp(-E) has a Pareto distribution without a mean: no number of samples is enough."""
    generator = torch.Generator().manual_seed(0)

    def energy(windows, shared):
        u = torch.rand(windows.shape[:2], generator=generator, dtype=torch.float64)
        return torch.log(u) * 1.5  # weight u^-1.5: shape 1.5

    report = report_of(joint(energy), random_windows(8), num_samples=500)
    assert report["pareto_k"]["share_above_0_7"] > 0.9
    assert any("Pareto" in warning for warning in report["warnings"])


def test_perplexity():
    assert perplexity.perplexity(np.array([-2.0, -4.0]), 3) == pytest.approx(math.exp(1.0))
