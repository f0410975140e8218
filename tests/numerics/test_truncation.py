"""log q: normalised, out of place, equal to a slow reference, and followed by samples."""

import math

import pytest
import torch

from fairseq_ebm.numerics.truncation import truncated_log_probs
from tests.toy_world import chi_square_p

SETTINGS = [
    {},
    {"temperature": 0.5},
    {"top_k": 1},
    {"top_k": 5},
    {"top_p": 0.5},
    {"top_p": 1e-9},
    {"top_k": 8, "top_p": 0.7, "temperature": 1.7},
    {"min_p": 0.1},
    {"top_k": 8, "top_p": 0.9, "temperature": 1.7, "min_p": 0.3},
]


def logits(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2


def reference(row, top_k=None, top_p=None, temperature=1.0, min_p=0.0):
    """Probabilities with lists and loops."""
    scores = [math.exp(float(x) / temperature) for x in row]
    ranked = sorted(range(len(row)), key=lambda i: -scores[i])
    if top_k is not None:
        ranked = ranked[:top_k]
    total, mass, kept = sum(scores[i] for i in ranked), 0.0, []
    for i in ranked:
        kept.append(i)
        mass += scores[i] / total
        if top_p is not None and mass >= top_p:
            break
    kept = [i for i in kept if scores[i] >= min_p * scores[ranked[0]]]
    total = sum(scores[i] for i in kept)
    return [scores[i] / total if i in kept else 0.0 for i in range(len(row))]


@pytest.mark.parametrize("setting", SETTINGS)
def test_equals_the_slow_reference(setting):
    rows = logits(20, 30)
    log_q = truncated_log_probs(rows, **setting)
    expected = torch.tensor([reference(row, **setting) for row in rows], dtype=torch.float64)
    assert torch.allclose(log_q.exp(), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("setting", SETTINGS)
def test_sums_to_one_and_leaves_its_input_alone(setting, dtype):
    rows = logits(5, 3, 1000, dtype=torch.float32).to(dtype)
    before = rows.clone()
    log_q = truncated_log_probs(rows, **setting)
    assert torch.equal(rows, before)
    assert log_q.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.allclose(log_q.double().exp().sum(-1), torch.ones(5, 3).double(), atol=1e-5)


@pytest.mark.parametrize("setting", SETTINGS)
def test_draws_follow_it(setting):
    row = logits(12, seed=4)
    log_q = truncated_log_probs(row, **setting)
    generator = torch.Generator().manual_seed(9)
    drawn = torch.multinomial(log_q.exp(), 100_000, replacement=True, generator=generator)
    expected = torch.tensor(reference(row, **setting), dtype=torch.float64)
    if (expected > 0).sum() == 1:
        assert (drawn == expected.argmax()).all()
    else:
        assert chi_square_p(torch.bincount(drawn, minlength=12), expected) > 0.01


def test_top_k_keeps_exactly_k_at_ties():
    log_q = truncated_log_probs(torch.zeros(7, 10), top_k=3)
    assert ((log_q > -math.inf).sum(-1) == 3).all()


def test_masked_symbols_stay_out():
    row = torch.tensor([1.0, -math.inf, 0.0])
    assert truncated_log_probs(row, top_p=0.999999)[1] == -math.inf
    assert truncated_log_probs(row, top_k=3)[1] == -math.inf


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"top_k": 11}, "vocabulary's 10"),
        ({"top_k": 0}, "top-k"),
        ({"top_p": 0.0}, "top-p"),
        ({"top_p": 1.5}, "top-p"),
        ({"min_p": 0.0}, "min-p"),
        ({"min_p": 1.1}, "min-p"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
    ],
)
def test_refuses_settings_without_meaning(setting, message):
    with pytest.raises(ValueError, match=message):
        truncated_log_probs(torch.zeros(10), **setting)


@pytest.mark.parametrize("row", [[0.0, math.nan], [-math.inf, -math.inf]])
@pytest.mark.parametrize("setting", [{"top_p": 0.9}, {"min_p": 0.1}, {"top_k": 1}])
def test_no_distribution_is_nan_row_by_row(row, setting):
    log_q = truncated_log_probs(torch.tensor([row, [0.0, 0.0]]), **setting)
    assert log_q.isnan().any(dim=1).tolist() == [True, False]
