"""Texts cut into blocks, and the mean score of these."""

import numpy as np
import pytest

from fairseq_ebm.data.tokenizers import SymbolTokenizer
from fairseq_ebm.detection import whole_texts
from fairseq_ebm.detection.whole_texts import BlockOptions, score_texts
from tests.stores import write_dictionary


@pytest.fixture
def tokenizer(tmp_path):
    return SymbolTokenizer(write_dictionary(tmp_path / "data", 30))


def last_token(texts, before, after):
    """A block's score: its last token."""
    assert (before, after) == (0, 0)
    length = (texts != 1).sum(dim=2, keepdim=True)
    return {"last": texts.gather(2, length - 1)[:, :, 0].double()}


def text(*numbers):
    return " ".join(f"w{number}" for number in numbers)


@pytest.mark.parametrize(
    ("length", "starts"),
    [(3, [0]), (10, [0]), (11, [0, 1]), (14, [0, 4]), (17, [0, 4, 7]), (18, [0, 4, 8])],
)
def test_blocks_cover_the_whole_text(length, starts):
    assert BlockOptions(window=10, stride=4).starts(length) == starts


def test_a_text_gets_the_mean_of_its_blocks(tokenizer):
    texts = [text(*range(12)), "", text(5, 6, 7), text(*range(20))]
    found = score_texts(texts, tokenizer, [last_token], BlockOptions(window=8, stride=4))
    expected = [np.mean([7, 11]), 7, np.mean([7, 11, 15, 19])]
    assert found.scores["last"] - 4 == pytest.approx(expected)
    assert (found.empty, found.short, sum(found.sizes)) == (1, 1, 7)


def test_short_texts_are_passed_over_if_asked(tokenizer):
    options = BlockOptions(window=8, stride=4, skip_short=True)
    found = score_texts([text(1, 2), text(*range(8))], tokenizer, [last_token], options)
    assert found.scores["last"].tolist() == [11] and found.short == 1


def test_a_long_text_is_scored_in_parts(tokenizer, monkeypatch):
    """Never more than ``BLOCKS`` blocks at once, whatever the text; texts may share a batch."""
    monkeypatch.setattr(whole_texts, "BLOCKS", 5)
    sizes = []

    def counted(texts, before, after):
        sizes.append(len(texts))
        return last_token(texts, before, after)

    long = [i % 30 for i in range(200)]
    options = BlockOptions(window=8, stride=4)
    found = score_texts([text(3), text(*long), text(9)], tokenizer, [counted], options)
    expected = np.mean([long[start + 7] for start in options.starts(200)])
    assert found.scores["last"] - 4 == pytest.approx([3, expected, 9])
    assert max(sizes) == 5 and sum(sizes) == sum(found.sizes) == 51


def test_a_file_of_empty_texts_has_no_scores(tokenizer):
    found = score_texts(["", " "], tokenizer, [last_token], BlockOptions())
    assert found.scores == {} and found.empty == 2
