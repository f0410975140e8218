"""n-gram statistics on sequences short enough to count by hand."""

import math

import pytest

from fairseq_ebm.numerics.text import shares_without_each, unique_ngram_share

LOOP = [1, 2, 1, 2, 1]
OTHER = [1, 2, 3]


def test_unique_ngrams_are_counted_over_the_whole_collection():
    # bigrams: 12 21 12 21, and 12 23: 6 in all, 3 distinct
    assert unique_ngram_share([LOOP, OTHER], 2) == pytest.approx(3 / 6)
    assert unique_ngram_share([OTHER, OTHER], 2) == pytest.approx(2 / 4)


def test_without_each_sequence_in_turn():
    texts = [LOOP, OTHER, OTHER, [1], [4, 4, 4]]
    expected = [unique_ngram_share(texts[:i] + texts[i + 1 :], 2) for i in range(len(texts))]
    assert shares_without_each(texts, 2) == pytest.approx(expected)
    assert len(set(expected)) > 2


def test_sequences_too_short_have_no_share():
    assert math.isnan(unique_ngram_share([[1, 2]], 3))
    assert unique_ngram_share([[1, 2], OTHER], 3) == 1.0


def test_refuses_empty_ngrams():
    with pytest.raises(ValueError, match="at least 1"):
        unique_ngram_share([OTHER], 0)
