"""Scores are per token, of the continuation only, however few logits may exist at once."""

import pytest
import torch

from fairseq_ebm.lm import scoring
from tests.lm.models import KINDS, build

WINDOWS = torch.tensor([[5, 2, 7, 11, 4, 4], [9, 3, 6, 10, 2, 2]])


def reference(model, window, position):
    """log P of one token by one forward pass over what stands before it."""
    inputs = torch.cat([torch.tensor([2]), window[:position]]).view(1, -1)
    with torch.no_grad():
        output = model(inputs)[0][:, -1:]
        log_probs = model.get_normalized_probs((output, None), log_probs=True)
    return float(log_probs[0, 0, window[position]])


@pytest.mark.parametrize("kind", KINDS)
def test_each_token_is_scored_from_what_stands_before_it(kind):
    model = build(kind)
    scores = scoring.token_log_probs(model, WINDOWS, 2)
    expected = [[reference(model, w, t) for t in range(2, 6)] for w in WINDOWS]
    assert torch.allclose(scores, torch.tensor(expected), atol=1e-5)


@pytest.mark.parametrize("kind", ["tied", "adaptive softmax", "conv"])
def test_cutting_the_logits_changes_nothing(kind, monkeypatch):
    model = build(kind)
    plain = scoring.token_log_probs(model, WINDOWS, 1)
    monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", 12 * 3)
    assert torch.allclose(scoring.token_log_probs(model, WINDOWS, 1), plain, atol=1e-6)
