"""The prepared directory: lossless, repeatable, complete or absent, and in fairseq's own format."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fairseq.data import Dictionary, data_utils
from fairseq.data.encoders.gpt2_bpe import GPT2BPE, GPT2BPEConfig

from fairseq_ebm.data import prepare as module
from fairseq_ebm.data.prepare import KIND, RECORD_NAME, Vocabulary, load_record, prepare
from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.errors import UserError
from tests.data.test_gpt2_bpe import write_gpt2

TEXT = {
    "train": ["the cat sat", "the dog sat\nand sat", "the cat", ""] * 5 + ["a cat and a dog"],
    "valid": ["a dog", "the cat"],
    "test": ["é 👩‍👧", "a dog", "", "a dog"],
}


def prepared(dest, text=TEXT, vocabulary=None, options=None):
    vocabulary = vocabulary or Vocabulary("sentencepiece", 275)
    return prepare(text, vocabulary, options or {"a": 1}, Path(dest))


def read_back(data, split):
    """Every document of a split as text, through fairseq's own reader."""
    tokenizer = load_tokenizer(data)
    dataset = data_utils.load_indexed_dataset(str(Path(data) / split), tokenizer.dictionary)
    documents = []
    for i in range(len(dataset)):
        assert dataset[i][-1] == tokenizer.dictionary.eos()
        documents.append(tokenizer.decode(dataset[i][:-1].tolist()))
    return documents


def all_bytes(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_documents_come_back_as_they_were(tmp_path):
    prepared(tmp_path / "data")
    for split, documents in TEXT.items():
        assert read_back(tmp_path / "data", split) == documents


def test_counts(tmp_path):
    record = prepared(tmp_path / "data")
    assert record == load_record(tmp_path / "data")
    path = tmp_path / "data" / RECORD_NAME
    path.write_text(
        path.read_text().replace(f'"kind": "{KIND}",', "")
    )  # of before there were kinds
    assert record == load_record(tmp_path / "data")
    test = record.splits["test"]
    assert (test.documents, test.characters) == (4, len("é 👩‍👧a doga dog"))
    dataset_tokens = sum(
        len(load_tokenizer(tmp_path / "data").encode([text])[0]) + 1 for text in TEXT["test"]
    )
    assert test.tokens == dataset_tokens and test.unknown == 0
    assert record.splits["valid"].also_in_train == 1  # "the cat"
    assert test.also_in_train == 0  # empty documents do not count


def test_dictionary_is_ordered_by_frequency_in_train(tmp_path):
    prepared(tmp_path / "data")
    dictionary = Dictionary.load(str(tmp_path / "data" / "dict.txt"))
    counts = dictionary.count[4:]
    assert len(dictionary) == 275 and counts == sorted(counts, reverse=True) and counts[0] > 5
    dataset = data_utils.load_indexed_dataset(str(tmp_path / "data" / "train"), dictionary)
    tokens = [t for i in range(len(dataset)) for t in dataset[i].tolist()]
    assert [tokens.count(i) for i in range(4, 275)] == counts


def test_the_same_text_gives_the_same_bytes(tmp_path):
    prepared(tmp_path / "one")
    prepared(tmp_path / "two")
    assert all_bytes(tmp_path / "one") == all_bytes(tmp_path / "two")


def test_batches_change_nothing(tmp_path, monkeypatch):
    prepared(tmp_path / "one")
    monkeypatch.setattr(module, "BATCH_CHARACTERS", 1)
    prepared(tmp_path / "two")
    assert all_bytes(tmp_path / "one") == all_bytes(tmp_path / "two")


def test_done_already(tmp_path):
    first = prepared(tmp_path / "data")
    before = all_bytes(tmp_path / "data")
    assert prepared(tmp_path / "data") == first
    assert all_bytes(tmp_path / "data") == before
    with pytest.raises(UserError, match="other options"):
        prepared(tmp_path / "data", options={"a": 2})
    with pytest.raises(UserError, match="other text"):
        prepared(tmp_path / "data", text={**TEXT, "valid": ["new"]})
    (tmp_path / "data" / "test.bin").unlink()
    with pytest.raises(UserError, match="files are missing"):
        prepared(tmp_path / "data")


def test_an_existing_directory_is_not_touched_unless_empty(tmp_path):
    (tmp_path / "data").mkdir()
    prepared(tmp_path / "data")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds something else"):
        prepared(tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_nothing_half_written(tmp_path, monkeypatch):
    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_order_by_frequency", fail)
    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_vocabulary_of_another_directory(tmp_path):
    prepared(tmp_path / "one")
    prepared(
        tmp_path / "two",
        {"test": ["a dog sat\r", "ü"]},
        Vocabulary("copy", source=tmp_path / "one"),
    )
    one, two = all_bytes(tmp_path / "one"), all_bytes(tmp_path / "two")
    assert two["dict.txt"] == one["dict.txt"]
    assert two["sentencepiece.model"] == one["sentencepiece.model"]
    assert read_back(tmp_path / "two", "test") == ["a dog sat\r", "ü"]


def test_symbols(tmp_path):
    text = {"train": ["1 + 1 = 2", "1 + 2 = 3"], "valid": ["2 + 2 = 4"]}
    record = prepared(tmp_path / "data", text, Vocabulary("symbols"))
    assert not (tmp_path / "data" / "sentencepiece.model").exists()
    assert record.vocabulary["size"] == 4 + len("+=123")
    assert read_back(tmp_path / "data", "train") == text["train"]
    assert record.splits["valid"].unknown == 1
    assert record.splits["train"].tokens == 12


def test_equals_what_stock_preprocess_writes(tmp_path):
    """The same symbols through fairseq-preprocess --only-source give the same bytes."""
    documents = {"train": ["b a b", "c b", "a c b c b"], "valid": ["a b"]}
    for split, texts in documents.items():
        (tmp_path / split).write_text("".join(text + "\n" for text in texts))
    stock = [sys.executable, "-m", "fairseq_cli.preprocess", "--only-source", "--workers", "1"]
    stock += ["--trainpref", tmp_path / "train", "--validpref", tmp_path / "valid"]
    stock += ["--destdir", tmp_path / "stock", "--padding-factor", "1"]
    subprocess.run(list(map(str, stock)), check=True, capture_output=True)
    prepared(tmp_path / "ours", documents, Vocabulary("symbols"))
    prepared(tmp_path / "copy", documents, Vocabulary("copy", source=tmp_path / "stock"))
    ours, theirs = all_bytes(tmp_path / "ours"), all_bytes(tmp_path / "stock")
    assert all_bytes(tmp_path / "copy")["valid.bin"] == theirs["valid.bin"]
    names = {"dict.txt", "train.bin", "train.idx", "valid.bin", "valid.idx"}
    assert names <= set(ours) and names <= set(theirs)
    assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}


def test_gpt2s_bpe_as_fairseqs_own_preprocessing_has_it(tmp_path):
    """It writes ids, which decode to text once the encoder's files are beside them."""
    gpt2, names = write_gpt2(tmp_path / "gpt2"), ("encoder.json", "vocab.bpe")
    flags = ("gpt2_encoder_json", "gpt2_vocab_bpe")
    encode = GPT2BPE(GPT2BPEConfig(**{f: str(gpt2 / n) for f, n in zip(flags, names)})).encode
    text = ["the cat  sat é\u2028\t", "all the dogs"]
    (tmp_path / "ids").write_text("".join(encode(each) + "\n" for each in text))
    stock = [sys.executable, "-m", "fairseq_cli.preprocess", "--only-source", "--workers", "1"]
    stock += ["--testpref", tmp_path / "ids", "--destdir", tmp_path / "stock"]
    stock += ["--srcdict", gpt2 / "dict.txt"]
    subprocess.run(list(map(str, stock)), check=True, capture_output=True)
    assert read_back(tmp_path / "stock", "test") == [encode(each) for each in text]
    for name in names:
        shutil.copy(gpt2 / name, tmp_path / "stock")
    assert read_back(tmp_path / "stock", "test") == text
    record = prepared(tmp_path / "ours", {"test": text}, Vocabulary("copy", source=gpt2))
    ours, theirs = all_bytes(tmp_path / "ours"), all_bytes(tmp_path / "stock")
    assert all(ours[name] == theirs[name] for name in ("dict.txt", "test.bin", "test.idx", *names))
    assert set(record.vocabulary["sha256"]) == {"dict.txt", *names}


@pytest.mark.parametrize("nothing", [[], [""], ["", " ", "\t\n"]])
def test_a_split_without_text(tmp_path, nothing):
    with pytest.raises(UserError, match="--valid: there is no text"):
        prepared(tmp_path / "data", {**TEXT, "valid": nothing})
    assert list(tmp_path.iterdir()) == []


def test_a_record_of_another_version(tmp_path):
    prepared(tmp_path / "data")
    path = tmp_path / "data" / "prepare.json"
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 99'))
    with pytest.raises(UserError, match="format version 99"):
        load_record(tmp_path / "data")


def test_an_altered_record(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "prepare.json").write_text('{"format_version": 2}')
    with pytest.raises(UserError, match=r"prepare\.json: altered"):
        prepared(tmp_path / "data")


def test_another_vocabulary_under_the_same_name_is_noticed(tmp_path):
    prepared(tmp_path / "one")
    copy = Vocabulary("copy", source=tmp_path / "one")
    prepared(tmp_path / "two", vocabulary=copy)
    prepared(tmp_path / "two", vocabulary=copy)
    shutil.rmtree(tmp_path / "one")
    prepared(tmp_path / "one", {**TEXT, "train": [*TEXT["train"], "new words"]})
    with pytest.raises(UserError, match="another vocabulary"):
        prepared(tmp_path / "two", vocabulary=copy)


def test_text_that_changes_between_passes_is_noticed(tmp_path):
    class Changing:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter(["a dog", "a cat"][: self.passes])

    with pytest.raises(UserError, match="--valid: the text changed"):
        prepared(tmp_path / "data", {**TEXT, "valid": Changing()})
    assert list(tmp_path.iterdir()) == []


def test_a_vocabulary_of_a_share_of_a_long_line(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "VOCABULARY_CHARACTERS", 100_000)
    line = " ".join(f"word{i}" for i in range(60_000))
    prepared(tmp_path / "data", {"train": [line]}, Vocabulary("sentencepiece", 400))
    assert read_back(tmp_path / "data", "train") == [line]
