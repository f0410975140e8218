"""Scores of texts against loops over the vocabulary, and their signs."""

import math

import pytest
import torch

from fairseq_ebm.numerics.detectors import DETECTORS, TokenStatistics, token_statistics


def slow(log_probs, tokens):
    """(L, V) and L tokens -> the seven scores, one symbol after another."""
    log_p, log_rank, entropy, above, variance = 0.0, 0.0, 0.0, 0.0, 0.0
    logs, deviations = [], []
    for row, token in zip(log_probs.tolist(), tokens):
        rank = 1
        for value in row:
            rank += value > row[token]
        mean = sum(math.exp(v) * v for v in row if v > -math.inf)
        log_p += row[token]
        log_rank += math.log(rank)
        entropy -= mean
        above += row[token] - mean
        variance += sum(math.exp(v) * (v - mean) ** 2 for v in row if v > -math.inf)
        logs.append(row[token])
        deviation = math.sqrt(sum(math.exp(v) * (v - mean) ** 2 for v in row if v > -math.inf))
        deviations.append((row[token] - mean) / deviation)
    count = len(tokens)
    fifth = max(1, count // 5)
    return {
        "log_likelihood": log_p / count,
        "log_rank": -log_rank / count,
        "entropy": entropy / count,
        "lrr": -log_p / log_rank,
        "fast_detectgpt": above / math.sqrt(variance),
        "min_k": sum(sorted(logs)[:fifth]) / fifth,
        "min_k_plus_plus": sum(sorted(deviations)[:fifth]) / fifth,
    }


def scores(log_probs, tokens, is_token=None):
    statistics = token_statistics(log_probs, tokens.unsqueeze(1))
    is_token = torch.ones(len(tokens), dtype=torch.bool) if is_token is None else is_token
    return {name: float(score(statistics, is_token)) for name, score in DETECTORS.items()}


@pytest.fixture
def world():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(12, 7, generator=generator) * 2
    logits[:, 1] = -math.inf
    return logits.log_softmax(1), torch.randint(2, 7, (12,), generator=generator)


def test_the_scores_are_those_of_a_loop(world):
    log_probs, tokens = world
    assert scores(log_probs, tokens) == pytest.approx(slow(log_probs, tokens.tolist()), rel=1e-5)


def test_padding_does_not_count(world):
    log_probs, tokens = world
    is_token = torch.arange(12) < 10
    tokens[10:] = 1  # of probability 0
    assert scores(log_probs, tokens, is_token) == pytest.approx(scores(log_probs[:10], tokens[:10]))


def test_the_most_probable_text_has_a_finite_score(world):
    log_probs, _ = world
    assert all(map(math.isfinite, scores(log_probs, log_probs.argmax(1)).values()))
    sure = torch.full((3, 4), -math.inf)
    sure[:, 2] = 0.0
    assert all(map(math.isfinite, scores(sure, torch.full((3,), 2)).values()))


def test_higher_means_generated():
    """A model's own top-k samples, the usual case for detectors, against texts from elsewhere."""
    generator = torch.Generator().manual_seed(2)
    log_probs = (torch.randn(400, 30, 50, generator=generator) * 2).log_softmax(2)
    log_probs[200:] = torch.randn(200, 30, 50, generator=generator).log_softmax(2)  # less certain
    own = log_probs.flatten(0, 1).topk(10)
    drawn = torch.multinomial(own.values.exp(), 1, generator=generator)
    generated = own.indices.gather(1, drawn).view(400, 30)[200:]
    real = torch.randint(0, 50, (200, 30), generator=generator)
    tokens = torch.cat([real, generated]).view(-1, 1)
    statistics = token_statistics(log_probs.flatten(0, 1), tokens)
    statistics = TokenStatistics(*(values.view(400, 30) for values in statistics))
    for name, score in DETECTORS.items():
        values = score(statistics, torch.ones(400, 30, dtype=torch.bool))
        above = (values[200:].unsqueeze(1) > values[:200]).double().mean()
        assert above > 0.99, name
