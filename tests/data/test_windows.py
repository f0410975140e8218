"""Windows: where they start, which are chosen, how long their prefixes are."""

import numpy as np
import pytest

from fairseq_ebm.data.prepare import Vocabulary, prepare
from fairseq_ebm.data.windows import WindowOptions, Windows, running_text
from fairseq_ebm.errors import UserError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    dest = tmp_path_factory.mktemp("data") / "d"
    train = [" ".join(chr(97 + (i + j) % 26) for j in range(i % 7 + 1)) for i in range(200)]
    text = {"train": train, "test": ["a b", "c"]}
    prepare(text, Vocabulary("symbols"), {}, dest)
    return dest


def test_windows_run_over_the_text_with_its_line_ends(data):
    text = running_text(data, "train")
    windows = Windows(data, "train", WindowOptions(window=10, stride=4, prefix_lengths=(6,)))
    assert len(windows) == (len(text) - 10) // 4 + 1
    assert windows.tokens(3).tolist() == text[12:22].tolist()
    last = windows.tokens(len(windows) - 1)
    assert len(last) == 10 and 2 in text[:20]


def test_a_text_of_exactly_one_window(data):
    options = WindowOptions(window=5, stride=3, prefix_lengths=(2,))
    assert running_text(data, "test").tolist()[2] == 2  # a b </s> c </s>
    assert len(Windows(data, "test", options)) == 1
    with pytest.raises(UserError, match="5 tokens, too few for one window of 6"):
        Windows(data, "test", WindowOptions(window=6, stride=3, prefix_lengths=(2,)))


def test_prefix_lengths_are_equally_likely_and_belong_to_the_window(data):
    options = WindowOptions(window=10, stride=1, prefix_lengths=(6, 8))
    windows = Windows(data, "train", options)
    lengths = [windows.prefix_length(i) for i in range(len(windows))]
    assert set(lengths) == {6, 8} and abs(np.mean(lengths) - 7) < 0.15
    fifty = Windows(data, "train", WindowOptions(10, 1, (6, 8), max_windows=50))
    assert len(fifty) == 50 and np.all(np.diff(fifty.numbers) > 0)
    assert [fifty.prefix_length(i) for i in range(50)] == [lengths[n] for n in fifty.numbers]


def test_the_seed_decides_which_windows_are_chosen(data):
    chosen = [
        Windows(data, "train", WindowOptions(10, 1, (6,), 50, seed)).numbers for seed in (1, 2)
    ]
    assert not np.array_equal(*chosen)
    assert len(Windows(data, "train", WindowOptions(10, 40, (6,), max_windows=10**9))) < 50


def test_a_prefix_must_leave_something_to_generate():
    with pytest.raises(UserError, match="--prefix-length: 160 must be below the window"):
        WindowOptions(prefix_lengths=(120, 160))


def test_a_missing_split(data):
    with pytest.raises(UserError, match=r"valid\.bin: no such split"):
        running_text(data, "valid")
