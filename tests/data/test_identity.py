"""Texts of the same lengths are not the same text."""

import shutil

import pytest

from fairseq_ebm.data import identity
from fairseq_ebm.data.addition import sums
from fairseq_ebm.data.identity import other_text, token_hash, token_hashes
from fairseq_ebm.data.prepare import Vocabulary, prepare
from fairseq_ebm.files import sha256_of


def prepared(dest, seed):
    documents = list(sums(2, seed))[:90]
    splits = {"train": documents[:60], "valid": documents[60:75], "test": documents[75:]}
    prepare(splits, Vocabulary("symbols"), {}, dest)
    return dest


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds")
    return prepared(folder / "one", 1), prepared(folder / "two", 2)


def test_lengths_do_not_identify_a_text(worlds):
    one, two = worlds
    assert (one / "test.idx").read_bytes() == (two / "test.idx").read_bytes()
    assert not set(token_hashes(one).values()) & set(token_hashes(two).values())
    difference = other_text(token_hashes(one), token_hashes(two))
    assert difference.startswith("test (SHA-256 of its tokens ") and "…, now " in difference
    assert other_text(token_hashes(one), token_hashes(one)) is None
    assert other_text({"test": "1"}, {"valid": "1"}) == "split (test, now valid)"
    assert other_text({"test": "1"}, {}) == "split (test, now none)"


@pytest.mark.parametrize("large", [0, 2**30])
def test_recorded_and_computed_hashes_agree(worlds, tmp_path, monkeypatch, large):
    monkeypatch.setattr(identity, "LARGE", large)
    shutil.copytree(worlds[0], tmp_path / "data")
    assert token_hash(tmp_path / "data", "test") == sha256_of(worlds[0] / "test.bin")
    (tmp_path / "data" / "prepare.json").unlink()  # as stock fairseq leaves it
    assert token_hashes(tmp_path / "data") == token_hashes(worlds[0])


def test_splits_may_have_any_name(worlds, tmp_path):
    """fairseq's valid1 and test1, for instance."""
    shutil.copytree(worlds[0], tmp_path / "data")
    shutil.copy(worlds[1] / "test.bin", tmp_path / "data" / "test1.bin")
    expected = {**token_hashes(worlds[0]), "test1": token_hash(worlds[1], "test")}
    assert token_hashes(tmp_path / "data") == expected


def test_a_record_of_other_tokens_is_not_trusted(worlds, tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "LARGE", 0)
    shutil.copytree(worlds[0], tmp_path / "data")
    with (tmp_path / "data" / "test.bin").open("ab") as file:
        file.write(b"\x05\x00")
    assert token_hash(tmp_path / "data", "test") == sha256_of(tmp_path / "data" / "test.bin")
    assert token_hash(tmp_path / "data", "valid") == token_hash(worlds[0], "valid")
