"""Energies and language models as scorers; TF-IDF against scikit-learn's own pipeline."""

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
    """(3 prefixes, 2 texts, 10 tokens), of which two texts end early."""
    generator = torch.Generator().manual_seed(1)
    texts = torch.randint(4, 15, (3, 2, 10), generator=generator)
    texts[:, 1, :4] = texts[:, 0, :4]
    texts[1, 1, 7:] = 1
    texts[2, 0, 9:] = 1
    return texts


def slow_scores(lm, text, before):
    """One position after the other, over all symbols but padding."""
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


def test_language_models_are_those_of_loops(lm, texts):
    found = LanguageModelScorer(lm)(texts, 4, 0)
    for i in range(3):
        for j in range(2):
            expected = slow_scores(lm, texts[i, j], 4)
            assert {n: float(v[i, j]) for n, v in found.items()} == pytest.approx(
                expected, rel=1e-4
            )


def test_a_model_that_reads_backwards(lm, texts):
    """It reads what the texts share first, which is their end."""
    backwards = texts.flip(-1)
    backwards[backwards == 1] = 5  # padding stands at the end only
    forwards = LanguageModelScorer(lm)(backwards.flip(-1), 4, 0)
    found = LanguageModelScorer(lm, right_to_left=True)(backwards, 0, 4)
    assert all(torch.allclose(found[name], forwards[name]) for name in forwards)
    everything = LanguageModelScorer(lm)(backwards, 0, 4)  # has seen nothing of what is shared
    assert not torch.allclose(everything["entropy"], found["entropy"])


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
