"""Texts from elsewhere: lines that are none, windows within a text, and how they are dealt."""

import json

import numpy as np
import pytest

from fairseq_ebm.data import foreign
from fairseq_ebm.data.arrays import Arrays
from fairseq_ebm.data.store import Manifest, begin
from fairseq_ebm.data.tokenizers import SentencePieceTokenizer
from fairseq_ebm.data.windows import WindowOptions
from fairseq_ebm.errors import UserError
from tests.data.test_tokenizers import ENGLISH, train_sentencepiece


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer(train_sentencepiece(ENGLISH, 400))


def write(path, texts):
    path.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(texts)))
    return path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ("[]", 'line 2 has no "text"'),
        ('{"txt": ""}', 'line 2 has no "text"'),
        ('{"text": 3}', 'line 2 has no "text"'),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(UserError, match=rf"x\.jsonl: {message}"):
        list(foreign.read_texts(path))


def test_windows_stay_within_a_text(tmp_path, tokenizer):
    path = write(tmp_path / "x.jsonl", ["a fox " * 10, "too short", "a dog " * 30])
    options = WindowOptions(window=12, stride=6, prefix_lengths=(0,))
    windows, too_short = foreign.windows_of(path, tokenizer, options, ["train", "valid", "test"])
    found = [w for split in windows.values() for w in split]
    assert too_short == 1
    texts = [tokenizer.decode(window) for window in found]
    assert all(len(w) == 12 for w in found)
    assert not any("fox" in text and "dog" in text for text in texts)


def dealt(tmp_path, tokenizer, reals, fakes):
    (tmp_path / "data").mkdir()
    begin(tmp_path / "neg", Manifest(1, {}, {}, {}, {}, {}), tmp_path / "data")
    options = WindowOptions(window=3, stride=3, prefix_lengths=(0,))
    real = [np.full(3, 100 + i) for i in range(reals)]
    fake = [np.full(3, 200 + i) for i in range(fakes)]
    foreign.fill(tmp_path / "neg", "test", real, fake, tokenizer, options)
    return np.array(Arrays(tmp_path / "neg" / "test")["negatives"])[:, :, 0] - 200


@pytest.mark.parametrize(("reals", "fakes", "each"), [(70, 70, 1), (70, 150, 2), (70, 30, 1)])
def test_generated_windows_are_dealt_evenly(tmp_path, tokenizer, reals, fakes, each):
    negatives = dealt(tmp_path, tokenizer, reals, fakes)
    assert negatives.shape == (reals, each)
    counts = np.bincount(negatives.reshape(-1), minlength=fakes)
    assert counts.max() - counts.min() <= 1
    assert negatives[:, 0].tolist() != sorted(negatives[:, 0].tolist())


def test_one_subset_takes_all_text_in_its_order(tmp_path, tokenizer):
    texts = [f"{word} {word} {word}" for word in ("fox", "dog", "horse", "slow", "quick")]
    path = write(tmp_path / "x.jsonl", texts)
    options = WindowOptions(window=3, stride=100, prefix_lengths=(0,))
    windows, _ = foreign.windows_of(path, tokenizer, options, ["test"])
    expected = [tokenizer.encode([text])[0][:3].tolist() for text in texts]
    assert [window.tolist() for window in windows["test"]] == expected
