"""Scores are per token of the continuation only, however few logits may exist at once."""

import pytest
import torch

from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.errors import UserError
from fairseq_ebm.lm import scoring
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.lm.scoring import next_log_probs, text_statistics, token_log_probs
from fairseq_ebm.numerics.drawing import Truncation
from tests.lm.models import KINDS, build

WINDOWS = torch.tensor([[5, 2, 7, 11, 4, 4], [9, 3, 6, 10, 2, 2]])


def reference(model, window, position):
    """log P of one token by one forward pass over what precedes it."""
    inputs = torch.cat([torch.tensor([2]), window[:position]]).view(1, -1)
    with torch.no_grad():
        output = model(inputs)[0][:, -1:]
        log_probs = model.get_normalized_probs((output, None), log_probs=True)
    return float(log_probs[0, 0, window[position]])


@pytest.mark.parametrize("kind", KINDS)
def test_each_token_is_scored_from_what_precedes_it(kind):
    model = build(kind)
    scores = scoring.token_log_probs(model, WINDOWS, 2)
    expected = [[reference(model, w, t) for t in range(2, 6)] for w in WINDOWS]
    assert torch.allclose(scores, torch.tensor(expected), atol=1e-5)


@pytest.mark.parametrize("kind", ["tied", "adaptive softmax", "conv"])
def test_splitting_the_logits_changes_nothing(kind, monkeypatch):
    model = build(kind)
    plain = scoring.token_log_probs(model, WINDOWS, 1)
    monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", 12 * 3)
    assert torch.allclose(scoring.token_log_probs(model, WINDOWS, 1), plain, atol=1e-6)


@pytest.mark.parametrize("kind", ["tied", "adaptive softmax", "lstm"])
def test_without_padding_the_others_sum_to_one(kind):
    model, prefix = build(kind), WINDOWS[:1, :3]
    every = scoring.next_log_probs(model, prefix)[0]
    assert every[1] == -torch.inf  # padding
    assert float(torch.logsumexp(every.double(), 0)) == pytest.approx(0, abs=1e-6)
    windows = torch.cat([prefix.expand(12, -1), torch.arange(12).unsqueeze(1)], dim=1)
    plain = scoring.token_log_probs(model, windows, 3)[:, 0]
    scored = scoring.token_log_probs(model, windows, 3, without_padding=True)[:, 0]
    others = torch.arange(12) != 1
    assert torch.allclose(scored[others], every[others], atol=1e-5)
    shift = -torch.log1p(-plain[1].exp())
    assert shift > 1e-3 and torch.allclose(scored[others], plain[others] + shift, atol=1e-5)


def test_nan_logits_are_reported():
    model = build("tied")
    with torch.no_grad():
        model.decoder.embed_tokens.weight[7] = float("nan")
    windows = torch.tensor([[4, 5, 6]])
    streams = [WindowStream(1, "test", 0)]
    for attempt in (
        lambda: token_log_probs(model, windows, 1),
        lambda: text_statistics(model, windows, 1),
        lambda: next_log_probs(model, windows),
        lambda: Sampler(model).sample(windows, 3, 2, streams),
    ):
        with pytest.raises(UserError, match="the language model's logits are NaN or infinite"):
            attempt()
    for truncation in (Truncation(top_k=2), Truncation(top_p=0.5), Truncation(temperature=2.0)):
        with pytest.raises(UserError, match="logits are NaN"):
            Sampler(model, truncation).sample(windows, 3, 2, streams)
