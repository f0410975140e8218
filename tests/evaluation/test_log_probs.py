"""Checked against enumeration of every continuation."""

import math

import numpy as np
import pytest
import torch

from fairseq_ebm.errors import UserError
from fairseq_ebm.evaluation.log_probs import EvaluationOptions, blocks, evaluate_all
from tests.evaluation.worlds import (
    PREFIX,
    WINDOW,
    FixedWindows,
    joint,
    log_z,
    random_energy,
    random_windows,
)


def results_of(world, windows, **options):
    options = EvaluationOptions(**options)
    parts = blocks(world, len(windows), options, 0, 1)
    return list(evaluate_all(world, windows, parts, options))


def pools(world, window, count, num_samples, **options):
    """Independent estimates for one window: each copy of its text has other random numbers."""
    windows = FixedWindows(window.expand(count, -1))
    return results_of(world, windows, num_samples=num_samples, **options)


@pytest.mark.parametrize(
    "kind, arch", [("pre-norm", "energy_roberta"), ("tied", "energy_transformer_lm")]
)
def test_bounds_close_in_on_the_truth(kind, arch):
    world, window = joint(random_energy(arch), kind), random_windows(1)[0]
    truth = log_z(world, window, PREFIX)
    gaps = []
    for n, count in ((10, 400), (100, 100), (1000, 20)):
        results = pools(world, window, count, n)
        means, errors = {}, {}
        for name in ("lower", "upper", "jackknife"):
            values = np.array([getattr(result.log_z, name) for result in results])
            means[name], errors[name] = values.mean(), values.std() / math.sqrt(count)
        assert means["lower"] < truth + 3 * errors["lower"]
        assert means["upper"] > truth - 3 * errors["upper"]
        assert abs(means["jackknife"] - truth) < 4 * errors["jackknife"] + 1.0 / n**2 * 100
        gaps.append(means["upper"] - means["lower"])
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2]
    assert gaps[2] < 0.05


def test_the_last_position_exactly():
    world, texts = joint(random_energy()), random_windows(4)
    results = results_of(world, FixedWindows(texts), num_samples=2000, exact_last_position=True)
    for result, window in zip(results, texts):
        truth = log_z(world, window, WINDOW - 1)
        assert result.last.exact_log_z == pytest.approx(truth, abs=1e-5)
        assert result.last.log_z.jackknife == pytest.approx(truth, abs=0.1)
        expected = world.token_log_probs(window.unsqueeze(0), WINDOW - 1)
        assert result.last.log_lm == pytest.approx(float(expected), abs=1e-5)


def test_every_position():
    world, texts = joint(random_energy()), random_windows(3)
    results = results_of(world, FixedWindows(texts), num_samples=4000, per_position=True)
    for result, window in zip(results, texts):
        assert len(result.position_log_z) == len(result.token_log_lm) == WINDOW - PREFIX
        assert result.position_log_z[0] == result.log_z
        for t, estimate in enumerate(result.position_log_z):
            truth = log_z(world, window, PREFIX + t)
            assert estimate.jackknife == pytest.approx(truth, abs=0.1)
        assert sum(result.token_log_lm) == pytest.approx(result.log_lm, abs=1e-9)


def test_the_curve_is_of_the_same_pool():
    world, texts = joint(random_energy()), random_windows(3)
    windows = FixedWindows(texts)
    large_pools = results_of(world, windows, num_samples=64, sample_curve=(8, 64))
    small_pools = results_of(world, windows, num_samples=8)
    for result, small in zip(large_pools, small_pools):
        assert result.curve[1] == result.log_z
        assert result.curve[0].lower == pytest.approx(small.log_z.lower, abs=1e-5)


def test_what_a_constant_costs_conditional_nce_is_reported():
    windows, energy = FixedWindows(random_windows(4)), random_energy()
    plain = results_of(joint(energy), windows, num_samples=300)
    moved = results_of(joint(lambda w, shared: energy(w, shared) + 3.0), windows, num_samples=300)
    for before, after in zip(plain, moved):
        assert after.nce_normalised == pytest.approx(before.nce_normalised, abs=1e-5)
        assert after.nce > after.nce_normalised + 0.3
        normal = before.energy + before.log_z.jackknife
        assert before.nce_normalised > math.log1p(math.exp(normal))
    nothing = joint(lambda w, shared: torch.zeros(w.shape[:2]))
    for result in results_of(nothing, windows, num_samples=16):
        assert result.nce == pytest.approx(math.log(4)) == result.nce_normalised


def test_no_energy_and_a_constant_one_change_nothing():
    windows = FixedWindows(random_windows(5))
    plain = joint(lambda w, shared: torch.zeros(w.shape[:2]))
    for result in results_of(plain, windows, num_samples=16, per_position=True):
        assert result.energy == 0 and result.log_z.lower == result.log_z.upper == 0
        assert all(z.lower == z.upper == 0 for z in result.position_log_z)
    energy = random_energy()
    moved = joint(lambda w, shared: energy(w, shared) + 7.0)
    for before, after in zip(
        results_of(joint(energy), windows, num_samples=16),
        results_of(moved, windows, num_samples=16),
    ):
        assert after.energy + after.log_z.lower == pytest.approx(
            before.energy + before.log_z.lower, abs=1e-5
        )
        assert after.ess == pytest.approx(before.ess, rel=1e-5)


def test_a_language_model_alone():
    texts = random_windows(11)
    world = joint(None)
    results = results_of(world, FixedWindows(texts))
    expected = world.token_log_probs(texts, PREFIX).sum(dim=1)
    assert [r.log_lm for r in results] == pytest.approx(expected.tolist(), abs=1e-5)
    assert [r.number for r in results] == list(range(10, 21))


def test_right_to_left():
    """The model reads from the end; the energy reads the text forwards."""
    seen = []

    def energy(windows, shared):
        seen.append((windows, shared))
        return windows[..., 0].float() / 10

    texts = random_windows(2)
    world = joint(energy, right_to_left=True)
    results = results_of(world, FixedWindows(texts), num_samples=512)
    lm_alone = joint(None)
    for result, window in zip(results, texts):
        backwards = window.flip(0)
        log_lm = lm_alone.token_log_probs(backwards.unsqueeze(0), PREFIX).sum()
        assert result.log_lm == pytest.approx(float(log_lm), abs=1e-5)
        assert result.energy == pytest.approx(float(window[0]) / 10)
        assert result.log_z.jackknife == pytest.approx(log_z(world, backwards, PREFIX), abs=0.05)
    pools_seen = [w for w, shared in seen if w.size(1) > 1]
    assert all(shared == 0 for _, shared in seen)
    assert torch.equal(pools_seen[0][0, 0, -PREFIX:], texts[0, -PREFIX:])


def test_shards_add_up_to_the_whole():
    world, windows = joint(random_energy()), FixedWindows(random_windows(30))
    options = EvaluationOptions(num_samples=100)
    whole = results_of(world, windows, num_samples=100)
    parts = [
        list(evaluate_all(world, windows, blocks(world, 30, options, shard, 3), options))
        for shard in range(3)
    ]
    assert [result for part in parts for result in part] == whole
    done = {result.number for result in whole[:17]}
    rest = evaluate_all(world, windows, blocks(world, 30, options, 0, 1), options, done)
    assert list(rest) == whole[17:]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_energies_that_are_not_finite(bad):
    world = joint(lambda w, shared: torch.full(w.shape[:2], bad))
    with pytest.raises(UserError, match="not finite on window 10"):
        results_of(world, FixedWindows(random_windows(2)), num_samples=4)


@pytest.mark.parametrize(
    "options",
    [
        {"num_samples": 1},
        {"sample_curve": (1, 10)},
        {"sampling_error": 0.0},
        {"sampling_error": 0.1, "sample_curve": (8,)},
        {"sampling_error": 0.1, "max_samples": 8},
    ],
)
def test_options(options):
    with pytest.raises(UserError, match=r"num_samples|sample_curve|sampling_error|max_samples"):
        EvaluationOptions(**options)
