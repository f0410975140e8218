"""Energies and language models as scorers."""

import numpy as np
import pytest
import torch

from fairseq_ebm.detection.scorers import EnergyScorer, LanguageModelScorer, reversed_texts
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.models.checkpoint import load_energy
from tests.numerics.test_detectors import slow


@pytest.fixture(scope="module")
def lm(sums, sums_lm):
    return load_base_lm(sums_lm, sums, "fp32", torch.device("cpu")).model


@pytest.fixture(scope="module")
def texts():
    """(3 prefixes, 2 texts, 10 tokens); two of the texts end early."""
    generator = torch.Generator().manual_seed(1)
    texts = torch.randint(4, 15, (3, 2, 10), generator=generator)
    texts[:, 1, :4] = texts[:, 0, :4]
    texts[1, 1, 7:] = 1
    texts[2, 0, 9:] = 1
    return texts


def slow_scores(lm, text, before):
    """One position after another, over all symbols but padding."""
    text = text[text != 1]
    with torch.no_grad():
        logits = lm.decoder(torch.cat([torch.tensor([2]), text[:-1]]).unsqueeze(0))[0][0].double()
    logits[:, 1] = -torch.inf
    log_probs = logits.log_softmax(1)
    whole = log_probs.gather(1, text.unsqueeze(1)).mean()
    return {
        **slow(log_probs[before:], text[before:].tolist()),
        "log_likelihood_whole": float(whole),
    }


def test_scores_of_language_models_are_those_of_a_loop(lm, texts):
    scores = LanguageModelScorer(lm)(texts, 4, 0)
    for i in range(3):
        for j in range(2):
            actual = {name: float(values[i, j]) for name, values in scores.items()}
            assert actual == pytest.approx(slow_scores(lm, texts[i, j], 4), rel=1e-4)


def test_a_model_that_reads_backwards(lm, texts):
    """It reads what the texts share first, which is their end."""
    backwards = texts.flip(-1)
    backwards[backwards == 1] = 5  # padding is only allowed at the end
    expected = LanguageModelScorer(lm)(backwards.flip(-1), 4, 0)
    scores = LanguageModelScorer(lm, right_to_left=True)(backwards, 0, 4)
    assert all(torch.allclose(scores[name], expected[name]) for name in expected)
    everything = LanguageModelScorer(lm)(backwards, 0, 4)  # has not yet read what is shared
    assert not torch.allclose(everything["entropy"], scores["entropy"])


def test_reversed_texts_keep_padding_at_the_end():
    text = torch.tensor([[[5, 6, 7, 1], [8, 9, 4, 3]]])
    assert reversed_texts(text, 1).tolist() == [[[7, 6, 5, 1], [3, 4, 9, 8]]]


def test_energies(sums, sums_energy, texts):
    energy = load_energy(sums_energy, sums, "fp32", torch.device("cpu")).model
    scorer, probability = EnergyScorer(energy), EnergyScorer(energy, probability=True)
    with torch.no_grad():
        expected = energy(texts, 0).double()
    assert torch.allclose(scorer(texts, 4, 0)["energy"], expected, atol=1e-6)
    assert torch.allclose(probability(texts, 4, 0)["energy"], expected.sigmoid(), atol=1e-6)
    assert np.isfinite(expected.numpy()).all() and expected.std() > 0
