"""Inverse CDF in two steps is inverse CDF; log p and log q are correct."""

import math

import pytest
import torch

from fairseq_ebm.numerics import drawing
from fairseq_ebm.numerics.drawing import BLOCK, Truncation, draw
from tests.toy_world import chi_square_p


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def uniforms(*shape, seed=0):
    return torch.rand(shape, generator=generator(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [5, BLOCK, 1000])
def test_equals_a_search_in_the_full_running_sum(size):
    logits = torch.randn(20, size, generator=generator(1)) * 3
    u = uniforms(20, 50)
    probabilities = torch.softmax(logits.double(), dim=-1)
    probabilities[:, 1] = 0
    cdf = probabilities.cumsum(-1)
    expected = torch.searchsorted(cdf, u * cdf[:, -1:], right=True)
    assert (draw(logits, u, never=1).tokens == expected).float().mean() > 0.9999


def test_log_probabilities():
    logits = torch.randn(4, 300, generator=generator(2))
    drawn = draw(logits, uniforms(4, 6), never=1)
    log_p = torch.log_softmax(logits.double(), -1)
    assert torch.allclose(drawn.log_p, log_p.gather(1, drawn.tokens), atol=1e-6)
    without = log_p - torch.log1p(-log_p[:, 1:2].exp())
    assert torch.allclose(drawn.log_q, without.gather(1, drawn.tokens), atol=1e-6)


@pytest.mark.parametrize(
    "truncation",
    [
        Truncation(),
        Truncation(top_k=4),
        Truncation(top_p=0.7, temperature=2.0),
        Truncation(min_p=0.2),
    ],
)
def test_draws_follow_log_q_and_leave_the_logits_alone(truncation):
    logits = torch.randn(1, 40, generator=generator(3))
    before = logits.clone()
    drawn = draw(logits, uniforms(1, 50_000, seed=4), never=7, truncation=truncation)
    assert torch.equal(logits, before)
    q = torch.zeros(40, dtype=torch.float64)
    q[drawn.tokens[0]] = drawn.log_q[0].exp()
    assert q[7] == 0 and abs(float(q.sum()) - 1) < 1e-5
    assert chi_square_p(torch.bincount(drawn.tokens[0], minlength=40), q) > 0.001


def test_top_k_of_the_whole_vocabulary_changes_nothing_but_the_order():
    logits = torch.randn(2, 10, generator=generator(5))
    drawn = draw(logits, uniforms(2, 500), never=0, truncation=Truncation(top_k=10))
    log_q = torch.log_softmax(logits[:, 1:].double(), -1)
    assert torch.allclose(drawn.log_q, log_q.gather(1, drawn.tokens - 1), atol=1e-6)


@pytest.mark.parametrize("k", [1, 5, 40, 700])
def test_the_largest_are_found_in_the_blocks_of_the_largest(k):
    weights = torch.rand(30, 8 * BLOCK, generator=generator(9))
    weights[0] = 0.5  # ties: any k will do
    values = weights.gather(1, drawing._largest(weights, k))
    assert torch.equal(values, torch.topk(weights, k).values)


def test_top_k_beyond_the_range_of_weights_draws_only_what_it_may():
    logits = torch.full((1, 10), -200.0)
    logits[0, 3], logits[0, 0] = 0.0, 5.0
    drawn = draw(logits, uniforms(1, 50), never=0, truncation=Truncation(top_k=6))
    assert (drawn.tokens == 3).all() and (drawn.log_q == 0).all()


def test_what_has_no_probability_is_never_drawn():
    logits = torch.full((1, 300), -math.inf)
    logits[0, 200], logits[0, 299], logits[0, 1] = 0.0, 1.0, 50.0
    edges = torch.tensor([[0.0, 1 - 2.0**-53, 0.5, 0.25]], dtype=torch.float64)
    drawn = draw(logits, edges, never=1)
    assert set(drawn.tokens.unique().tolist()) == {200, 299}


def test_tiny_probabilities_of_a_large_vocabulary_keep_their_share():
    """Half of the mass is on one symbol, the rest on 50,000 that a float32 sum would round."""
    size = 50_000
    logits = torch.zeros(1, size)
    logits[0, 0] = math.log(size)
    drawn = draw(logits, uniforms(1, 400_000, seed=6), never=1).tokens
    assert abs(float((drawn == 0).double().mean()) - 0.5) < 0.003
    halves = torch.bincount((drawn[drawn > 0] * 10) // size, minlength=10)
    assert chi_square_p(halves, torch.full((10,), 0.1)) > 0.001


def test_half_precision_logits_are_computed_in_single():
    logits = torch.randn(3, 50, generator=generator(8)).bfloat16()
    half, single = (draw(x, uniforms(3, 9), never=1) for x in (logits, logits.float()))
    assert torch.equal(half.tokens, single.tokens) and torch.equal(half.log_p, single.log_p)


def test_is_none():
    assert Truncation().is_none and Truncation(top_p=1.0).is_none
    assert not any(
        t.is_none for t in (Truncation(top_k=5), Truncation(temperature=0.9), Truncation(min_p=1))
    )
    assert drawing.UNTRUNCATED.is_none


@pytest.mark.parametrize(
    "truncation, words",
    [
        (Truncation(), "untruncated"),
        (Truncation(top_p=1.0), "untruncated"),
        (Truncation(top_k=10, temperature=0.9), "top-k 10, temperature 0.9"),
        (Truncation(top_p=0.9), "top-p 0.9"),
        (Truncation(min_p=0.05), "min-p 0.05"),
    ],
)
def test_in_words(truncation, words):
    assert truncation.in_words == words
    assert (truncation.in_words == "untruncated") == truncation.is_none


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("symbols", [3, BLOCK, 2 * BLOCK + 1])
def test_log_p_is_nan_where_logits_are_none_and_nowhere_else(bad, symbols):
    logits = torch.zeros(3, symbols)
    logits[1, 2] = bad
    logits[2, :] = -math.inf
    drawn = draw(logits, uniforms(3, 50), never=1)
    assert drawn.log_p.isnan().all(dim=1).tolist() == [False, True, True]
    assert not drawn.log_p[0].isnan().any()
    assert int(drawn.tokens.min()) >= 0 and int(drawn.tokens.max()) < symbols


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", [2, BLOCK + 7, 2 * BLOCK])
@pytest.mark.parametrize(
    "limits", [{"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.9, "min_p": 0.1}]
)
def test_truncated_draws_from_nothing_are_nan(bad, place, limits):
    logits = torch.zeros(3, 2 * BLOCK + 1)
    logits[1, place] = bad
    logits[2, :] = -math.inf
    drawn = draw(logits, uniforms(3, 50), 1, Truncation(**limits))
    told = (drawn.log_p + drawn.log_q).isnan()
    assert told.all(dim=1).tolist() == [False, True, True] and not told[0].any()
    assert int(drawn.tokens.min()) >= 0 and int(drawn.tokens.max()) < logits.size(1)


def test_a_temperature_at_which_logits_overflow_is_told_by_log_q():
    logits = torch.tensor([[3e38, 0.0, 1.0]])
    drawn = draw(logits, uniforms(1, 1), 1, Truncation(temperature=0.5))
    assert bool(drawn.log_q.isnan()) and not bool(drawn.log_p.isnan())
