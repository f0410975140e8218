"""The baseline against scikit-learn's own pipeline on the same texts."""

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline

from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.detection.stores import batches
from fairseq_ebm.detection.tfidf import STRENGTHS, TfIdf, TfIdfScorer, labelled
from fairseq_ebm.errors import UserError
from fairseq_ebm.negatives.store import NegativesSubset
from tests.stores import random_store, write_store


@pytest.fixture(scope="module")
def neg(tmp_path_factory):
    """Generated continuations use some words more often; half of each window is shared."""
    generator = np.random.default_rng(1)
    real = generator.integers(4, 34, (400, 16))
    negatives = np.repeat(real[:, None], 2, axis=1)
    negatives[:, :, 8:] = 4 + (30 * generator.random((400, 2, 8)) ** 1.5).astype(int)
    neg = tmp_path_factory.mktemp("words") / "neg"
    return write_store(neg, real, negatives, 8, 30)


def batches_of(neg, members):
    return list(batches(NegativesSubset(neg, "valid"), members))


def words(rows):
    return [" ".join(f"w{token - 4}" for token in row) for row in rows]


def test_it_is_scikit_learns_pipeline(neg):
    tokenizer, subset = load_tokenizer(neg), NegativesSubset(neg, "valid")
    train, valid = (labelled(tokenizer, batches_of(neg, m)) for m in (range(300), range(300, 350)))
    scorer = TfIdfScorer(tokenizer, TfIdf(train, valid))

    def direct(members):
        texts, generated = [], []
        for i in members:
            example = subset[i]
            texts += words([example.real[8:], *example.negatives[:, 8:]])
            generated += [False, True, True]
        return texts, np.array(generated)

    best = None
    for strength in STRENGTHS:
        pipeline = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), min_df=5, max_features=2**21),
            LogisticRegression(C=strength, class_weight="balanced", max_iter=1000),
        )
        pipeline.fit(*direct(range(300)))
        texts, truth = direct(range(300, 350))
        reached = balanced_accuracy_score(truth, pipeline.predict(texts))
        if best is None or reached > best[0]:
            best = (reached, strength, pipeline)
    assert (scorer.words.accuracy, scorer.words.strength) == (pytest.approx(best[0]), best[1])
    assert best[0] > 0.6
    texts, _ = direct(range(350, 400))
    expected = best[2].decision_function(texts).reshape(50, 3)
    found = torch.cat(
        [scorer(b.texts, b.before, b.after)["tfidf"] for b in batches_of(neg, range(350, 400))]
    )
    assert found.numpy() == pytest.approx(expected)


def test_too_little_text(tmp_path):
    neg = random_store(tmp_path / "neg", count=2)
    texts = labelled(load_tokenizer(neg), batches_of(neg, range(2)))
    with pytest.raises(UserError, match="--tfidf"):
        TfIdf(texts, texts)
