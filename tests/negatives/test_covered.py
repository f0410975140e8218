"""The text that windows cover, held to the text that they were cut from."""

import dataclasses

import numpy as np
import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.negatives.arrays import ArraysWriter
from fairseq_ebm.negatives.covered import HOLE, covered_text
from fairseq_ebm.negatives.store import begin, layout, mark_whole
from tests.negatives.test_store import MANIFEST

TEXT = np.random.default_rng(1).integers(4, 90, size=400)


def store(neg, numbers, window=10, stride=4, text="1" * 64, windows=None, real=None):
    """Windows of ``TEXT`` with these numbers."""
    options = {**MANIFEST.options, "stride": stride, "window": window}
    source = {"text": {"train": text}} if text else {"real": real}
    data = neg.parent / "data"
    data.mkdir(exist_ok=True)
    (data / "dict.txt").write_text("a 1\n")
    begin(neg, dataclasses.replace(MANIFEST, source=source, options=options), data)
    numbers = np.array(numbers)
    if windows is None:
        windows = TEXT[(numbers * stride)[:, None] + np.arange(window)]
    unknown = np.zeros((len(numbers), 1))
    with ArraysWriter(neg / "train", layout(window, 2, 1, 100), len(numbers)) as writer:
        writer.write(
            {
                "number": numbers,
                "window": windows,
                "prefix_length": np.full(len(numbers), window - 2),
                "negatives": np.zeros((len(numbers), 1, 2)),
                "real_log_p": unknown[:, 0],
                "log_p": unknown,
                "log_q": unknown,
            }
        )
    mark_whole(neg, "train", len(numbers))
    return neg


def parts(text):
    """Between the holes."""
    cuts = np.split(text, np.flatnonzero(text == HOLE))
    return [part[part != HOLE].tolist() for part in cuts if (part != HOLE).any()]


def test_overlapping_windows_are_the_text_once(tmp_path):
    neg = store(tmp_path / "neg", range(20))
    assert parts(covered_text([neg], "train")) == [TEXT[: 19 * 4 + 10].tolist()]


def test_what_no_window_covers_is_a_hole(tmp_path):
    neg = store(tmp_path / "neg", [0, 1, 7])
    expected = [TEXT[:14].tolist(), TEXT[28:38].tolist()]
    assert parts(covered_text([neg], "train")) == expected


def test_two_stores_of_one_text_are_one(tmp_path):
    """Other windows, another stride: the same tokens in the same places."""
    one, two = store(tmp_path / "one", range(5)), store(tmp_path / "two", [2, 3], 8, 6)
    assert parts(covered_text([one, two], "train")) == [TEXT[:26].tolist()]


def test_two_texts_stand_apart(tmp_path):
    one, two = store(tmp_path / "one", range(5)), store(tmp_path / "two", [0], text="2" * 64)
    expected = [TEXT[:26].tolist(), TEXT[:10].tolist()]
    assert sorted(parts(covered_text([one, two], "train"))) == sorted(expected)


def test_texts_from_elsewhere_have_no_places(tmp_path):
    windows = [TEXT[:10], TEXT[100:110]]
    neg = store(tmp_path / "neg", [0, 1], stride=10, text=None, windows=windows)
    assert parts(covered_text([neg], "train")) == [TEXT[:10].tolist(), TEXT[100:110].tolist()]
    overlapping = store(tmp_path / "two", [0, 1], stride=5, text=None, windows=windows)
    with pytest.raises(UserError, match="counted twice; make the store with --stride 10"):
        covered_text([overlapping], "train")


def test_texts_from_elsewhere_beside_two_kinds_of_generated_ones(tmp_path):
    windows = [TEXT[:10], TEXT[100:110]]
    one, two = (
        store(tmp_path / name, [0, 1], stride=10, text=None, windows=windows, real="r")
        for name in ("one", "two")
    )
    assert parts(covered_text([one, two], "train")) == [TEXT[:10].tolist(), TEXT[100:110].tolist()]
    other = store(tmp_path / "three", [0, 1], stride=10, text=None, windows=windows[::-1], real="r")
    with pytest.raises(UserError, match="cut in different ways; make them with the same options"):
        covered_text([one, other], "train")
