"""Sampling intervals cover the enumerated truth as often as they claim."""

import math

import numpy as np
import pytest
import torch

from fairseq_ebm.evaluation import uncertainty
from fairseq_ebm.numerics import intervals
from fairseq_ebm.numerics.partition import log_partition
from fairseq_ebm.numerics.weights import effective_sample_size

TOKENS = 32


def world(deviation, windows, seed=1, texts=256):
    """P_LM (W, K) and E (W, K) of all K texts after each of W prefixes, and log Z (W,)."""
    generator = torch.Generator().manual_seed(seed)
    logits, energies = torch.randn(2, windows, texts, generator=generator, dtype=torch.float64)
    log_lm = torch.log_softmax(1.5 * logits, dim=1)
    energies = deviation * energies
    return log_lm.exp(), energies, torch.logsumexp(log_lm - energies, dim=1)


def estimates(deviation, windows, samples, repetitions):
    """(jackknife estimates of log Z (R, W), their errors, effective shares, and the truth (W,))"""
    probabilities, energies, log_z = world(deviation, windows)
    generator = torch.Generator().manual_seed(2)
    parts = []
    for _ in range(repetitions // 50):
        drawn = torch.multinomial(probabilities, 50 * samples, True, generator=generator)
        pools = energies.gather(1, drawn).view(windows, 50, samples)
        bounds = log_partition(pools)
        parts.append(
            torch.stack([bounds.jackknife, bounds.error, effective_sample_size(-pools) / samples])
        )
    jackknife, errors, ess = torch.cat(parts, dim=2).transpose(1, 2)
    return jackknife.numpy(), errors.numpy(), ess.numpy(), log_z.numpy()


@pytest.mark.parametrize("deviation, effective", [(0.5, 0.79), (1.3, 0.28)])
@pytest.mark.parametrize("samples", [128, 1000])
def test_intervals_cover_the_truth(deviation, effective, samples):
    """For light weights and for ones as heavy as a trained energy's, whose ESS was 25 of 128."""
    jackknife, errors, ess, truth = estimates(deviation, 40, samples, 1000)
    assert ess.mean() == pytest.approx(effective, abs=0.07)
    hits = 0
    for estimate, error in zip(jackknife, errors):
        ppl, exact = (math.exp(values.mean() / TOKENS) for values in (estimate, truth))
        low, high = intervals.interval(ppl, uncertainty.of_mean(error, TOKENS))
        hits += low < exact < high
    assert 930 <= hits <= 970


def test_the_delta_method_falls_short():
    """Why we use the jackknife: the delta method misses more often with few, heavy weights."""
    jackknife, errors, ess, truth = estimates(1.8, 40, 128, 1000)
    delta = np.sqrt((1 / (ess * 128) - 1 / 128) * 128 / 127)
    off = np.abs((jackknife - truth).mean(axis=1))
    hits = [float((off < 1.96 * np.sqrt((e**2).sum(axis=1)) / 40).mean()) for e in (errors, delta)]
    assert hits[0] > 0.92 and hits[0] > hits[1] + 0.015


def test_errors_of_independent_pools_add_up():
    assert uncertainty.of_mean(np.array([3.0, 4.0]), 10) == pytest.approx(5 / 2 / 10)
    both = np.array([[3.0, 0.0], [0.0, 4.0]])
    assert uncertainty.of_mean(both, 10) == pytest.approx(5 / 2 / 10)


def test_gains_and_what_is_unknown():
    low, high = intervals.gain_interval(0.1, 0.01)
    assert low < 0.1 < high and high - low == pytest.approx(0.9 * 2 * 1.96 * 0.01, rel=1e-3)
    assert intervals.interval(20.0, math.inf) is None
    assert intervals.gain_interval(0.1, math.inf) is None


@pytest.mark.parametrize(
    "spread, error, remedy",
    [(10.0, 0.1, "--max-windows"), (1.0, 0.99, "--num-samples"), (1.0, 0.7, "both")],
)
def test_the_whole_error_is_divided(spread, error, remedy):
    generator = np.random.default_rng(1)
    log_probs = generator.normal(-100, spread, 400)
    parts = uncertainty.division(log_probs, np.full(400, error), TOKENS)
    assert parts["total"] == pytest.approx(spread / 20 / TOKENS, rel=0.1)
    assert parts["samples"] == pytest.approx(error / 20 / TOKENS)
    assert parts["total"] ** 2 == pytest.approx(parts["windows"] ** 2 + parts["samples"] ** 2)
    assert parts["raise"] == remedy


def test_what_cannot_be_divided():
    alone = uncertainty.division(np.array([-3.0]), np.array([0.1]), TOKENS)
    assert alone["windows"] is alone["total"] is alone["raise"] is None
    infinite = uncertainty.division(np.array([-3.0, -4.0]), np.array([0.1, math.inf]), TOKENS)
    assert infinite["samples"] is None and infinite["raise"] == "--num-samples"
    same = uncertainty.division(np.full(3, -2.0), np.zeros(3), TOKENS)
    assert same["total"] == 0 and same["raise"] is None
