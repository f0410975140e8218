"""Texts from elsewhere: lines that are none, windows within a text, and how they are dealt."""

import json

import numpy as np
import pytest

from fairseq_ebm.data.tokenizers import SentencePieceTokenizer
from fairseq_ebm.data.windows import WindowOptions
from fairseq_ebm.errors import UserError
from fairseq_ebm.negatives import jsonl as foreign
from fairseq_ebm.negatives.arrays import Arrays
from fairseq_ebm.negatives.store import FORMAT_VERSION, Manifest, begin
from tests.data.test_tokenizers import ENGLISH, train_sentencepiece


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer(train_sentencepiece(ENGLISH, 400))


def write(path, texts):
    path.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(texts)))
    return path


BAD = [
    (b"{", "line 2 is not JSON"),
    (b'{"text": "cut o', "line 2 is not JSON"),
    (b'{"text": "\xff"}', "line 2 is not JSON"),
    (b"[" * 100_000, "line 2 is not JSON"),
    (b"[]", 'line 2 has no "text"'),
    (b'{"txt": ""}', 'line 2 has no "text"'),
    (b'{"text": 3}', 'line 2 has no "text"'),
    (rb'{"text": "\ud83d"}', "line 2 holds half a character"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_lines_are_named(tmp_path, line, message):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "fine"}\n' + line + b"\n")
    with pytest.raises(UserError, match=rf"x\.jsonl: {message}"):
        list(foreign.read_texts(path))


def test_bad_lines_can_be_passed_over(tmp_path):
    """Lines are those of gpt-2-output-dataset, and the last is cut off."""
    good = [
        {"id": i, "ended": i > 0, "length": 4, "text": f"text {i}\n\U0001f600"}
        for i in range(len(BAD))
    ]
    path = tmp_path / "x.jsonl"
    lines = [part for (bad, _), text in zip(BAD, good) for part in (json.dumps(text), bad, b"")]
    lines = [line.encode() if isinstance(line, str) else line for line in lines]
    path.write_bytes(b"\n".join([*lines, b'{"id": 9, "text": "cut']))
    bad = []
    assert list(foreign.read_texts(path, bad)) == [text["text"] for text in good]
    numbers = [3 * i + 2 for i in range(len(BAD))]
    expected = [f"{path}: {m.replace('line 2', f'line {n}')}" for n, (_, m) in zip(numbers, BAD)]
    assert len(bad) == len(BAD) + 1
    assert all(message.startswith(begun) for message, begun in zip(bad, expected))
    assert f"line {3 * len(BAD) + 1} is not JSON" in bad[-1]
    with pytest.raises(UserError, match="No such file"):
        list(foreign.read_texts(tmp_path / "y.jsonl", bad))


def test_windows_stay_within_a_text(tmp_path, tokenizer):
    path = write(tmp_path / "x.jsonl", ["a fox " * 10, "too short", "a dog " * 30])
    options = WindowOptions(window=12, stride=6, prefix_lengths=(0,))
    windows, too_short = foreign.windows_of(path, tokenizer, options, ["train", "valid", "test"])
    found = [w for split in windows.values() for w in split]
    assert too_short == 1
    texts = [tokenizer.decode(window) for window in found]
    assert all(len(w) == 12 for w in found)
    assert not any("fox" in text and "dog" in text for text in texts)


def test_windows_of_a_file_with_bad_lines(tmp_path, tokenizer):
    path = write(tmp_path / "x.jsonl", ["a fox " * 10, "a dog " * 10])
    options = WindowOptions(window=12, stride=6, prefix_lengths=(0,))
    expected = foreign.windows_of(path, tokenizer, options, ["test"])[0]["test"]
    path.write_text(path.read_text() + '{"text": "a f')
    bad = []
    found = foreign.windows_of(path, tokenizer, options, ["test"], bad)[0]["test"]
    assert np.array_equal(found, expected) and len(bad) == 1
    with pytest.raises(UserError, match="line 3 is not JSON"):
        foreign.windows_of(path, tokenizer, options, ["test"])


def dealt(tmp_path, tokenizer, reals, fakes):
    (tmp_path / "data").mkdir()
    begin(tmp_path / "neg", Manifest(FORMAT_VERSION, {}, {}, {}, {}, {}), tmp_path / "data")
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
