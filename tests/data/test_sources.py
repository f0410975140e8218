"""Documents: distinct, split by their text alone, and read from files byte for byte."""

import os

import pytest

from fairseq_ebm.data.sources import SPLITS, TextFiles, built_in_corpus, split_of
from fairseq_ebm.errors import UserError


def test_no_document_is_in_two_splits_or_twice_in_one():
    splits = built_in_corpus("addition", digits=2, seed=1)  # 100,000 draws of 10,000 sums
    everything = [text for split in SPLITS for text in splits[split]]
    assert 9_900 < len(everything) == len(set(everything)) <= 10_000
    assert abs(len(splits["valid"]) - 1000) < 100 and abs(len(splits["test"]) - 1000) < 100


def test_a_text_is_in_the_same_split_whatever_else_the_corpus_has():
    one = built_in_corpus("addition", digits=2, seed=1)
    other = built_in_corpus("addition", digits=2, seed=2)
    for split in SPLITS:
        for elsewhere in set(SPLITS) - {split}:
            assert not set(one[split]) & set(other[elsewhere])
    assert split_of("An example.") == split_of("An example.")


def test_files_are_read_line_by_line(tmp_path):
    (tmp_path / "a").write_bytes("x\r\n\n y\x85\u2028z\x00\n".encode())
    (tmp_path / "b").write_bytes(b"no line feed")
    files = TextFiles([str(tmp_path / "a"), str(tmp_path / "b")])
    expected = ["x\r", "", " y\x85\u2028z\x00", "no line feed"]
    assert list(files) == expected and list(files) == expected


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"missing\.txt: No such file"):
        list(TextFiles([str(tmp_path / "missing.txt")]))
    (tmp_path / "latin").write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(UserError, match=r"latin: line 2 .*byte 3 of the line is 0xEF"):
        list(TextFiles([str(tmp_path / "latin")]))


def test_a_pipe_cannot_be_read_twice(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: text is read more than once"):
        list(TextFiles([str(tmp_path / "pipe")]))
