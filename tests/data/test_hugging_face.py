"""A Hugging Face tokenizer's own symbols: nothing is lost, and what text says is only text."""

import json
import re
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from fairseq_ebm.cli.main import main
from fairseq_ebm.data import hugging_face
from fairseq_ebm.data.hugging_face import SYMBOLS_NAME, TOKENIZER_NAME, load_original
from fairseq_ebm.data.prepare import Vocabulary, load_record, prepare
from fairseq_ebm.data.tokenizers import decode_behind, load_tokenizer
from fairseq_ebm.data.windows import running_text
from fairseq_ebm.errors import UserError

pytest.importorskip("transformers")
import transformers
from tokenizers import AddedToken, normalizers

from tests.lm.tiny_hugging_face import TEXTS, byte_fallback, byte_level, words

THREE = {"count": 3, "start": 0, "end": 0, "unknown": None, "special": []}
KINDS = {
    "byte-level": byte_level,
    "bytes as a fallback": byte_fallback,
    "unigram": lambda: byte_fallback("unigram"),
}


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    found = tmp_path_factory.mktemp("hf") / request.param
    KINDS[request.param]().save_pretrained(found)
    return found


@pytest.fixture(scope="module")
def data(folder, tmp_path_factory):
    dest = tmp_path_factory.mktemp("data") / "data"
    prepare(
        {"train": TEXTS, "test": TEXTS[::-1]}, Vocabulary("hugging_face", source=folder), {}, dest
    )
    return dest


def test_any_unicode_comes_back(data):
    tokenizer = load_tokenizer(data)
    assert [tokenizer.decode(ids) for ids in tokenizer.encode(TEXTS)] == TEXTS
    generator = np.random.default_rng(1)
    codes = [
        [*generator.integers(1, 0xD800, 9), *generator.integers(0x2575, 0x258A, 9)]
        for _ in range(99)
    ]
    anything = ["".join(map(chr, each)) for each in codes]
    assert [tokenizer.decode(ids) for ids in tokenizer.encode(anything)] == anything
    assert {s: c.altered for s, c in load_record(data).splits.items()} == {"train": 0, "test": 0}


def test_symbols_are_the_tokenizers_own_in_its_own_order(folder, data):
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = load_tokenizer(data)
    text = "The cat sat on the mat."
    expected = theirs.encode(text, add_special_tokens=False)
    assert (ours.encode([text])[0] == np.array(expected) + 4).all()
    names = ours.dictionary.symbols[4:]
    assert names[theirs.convert_tokens_to_ids("c")] == "c"
    assert all(names[number].startswith(f"\\{number}") for number in ours.symbols.special)
    assert len(names) == len(theirs) and not any(re.search(r"\s", name) for name in names)


def test_what_looks_special_is_text_and_the_end_is_the_end(data):
    tokenizer = load_tokenizer(data)
    special = {4 + number for number in tokenizer.symbols.special}
    written = running_text(data, "train")
    assert not special & set(written.tolist())
    assert (written == tokenizer.dictionary.eos()).sum() == len(TEXTS)
    assert tokenizer.decode(written) == "\n".join(TEXTS) + "\n"


def test_reserved_symbols_are_special_whatever_they_are_for(tmp_path):
    tokenizer = byte_level()
    tokenizer.add_tokens([AddedToken("<turn>", special=True)], special_tokens=True)
    tokenizer.add_tokens(["\n\n"])
    tokenizer.save_pretrained(tmp_path)
    ours = load_original(tmp_path, "--tokenizer")
    number = ours.backend.token_to_id("<turn>")
    assert number in ours.symbols.never
    assert ours.backend.token_to_id("\n\n") not in ours.symbols.special
    (ids,) = ours.encode(["a<turn>"])
    assert 4 + number not in ids and ours.decode(ids) == "a<turn>"


def test_accents_stay_as_they_are_written(tmp_path):
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    tokenizer.save_pretrained(tmp_path)
    ours = load_original(tmp_path, "--tokenizer")
    texts = ["caf\u00e9", "cafe\u0301"]
    assert [ours.decode(ids) for ids in ours.encode(texts)] == texts


def test_what_goes_on_behind_other_text_keeps_its_first_space(tmp_path):
    byte_fallback().save_pretrained(tmp_path)
    ours = load_original(tmp_path, "--tokenizer")
    (ids,) = ours.encode(["the cat sat"])
    assert ours.decode(ids[-3:]) == "sat" and len(ids) > 4
    assert decode_behind(ours, ids[:-3], ids[-3:]) == " sat"


def test_half_a_character_decodes_to_a_sign_of_it(data):
    tokenizer = load_tokenizer(data)
    (ids,) = tokenizer.encode(["\U0001f600"])
    assert "\ufffd" in tokenizer.decode(ids[:-1])


def test_a_tokenizer_that_loses_text_is_told_on(tmp_path, capsys):
    words(["the", "cat", "<unk>"], eos_token="<end>", unk_token="<unk>").save_pretrained(
        tmp_path / "hf"
    )
    (tmp_path / "text").write_text("the cat\nthe  dog\n")
    flags = [f"--{split}={tmp_path / 'text'}" for split in ("train", "test")]
    main(["prepare", *flags, f"--tokenizer=hf:{tmp_path / 'hf'}", f"--dest={tmp_path / 'data'}"])
    assert "1 documents of train come back altered" in capsys.readouterr().out
    assert load_record(tmp_path / "data").splits["train"].altered == 1


def test_the_same_again_leaves_it_and_another_tokenizer_is_refused(folder, data, tmp_path):
    splits = {"train": TEXTS, "test": TEXTS[::-1]}
    before = {path: path.stat().st_mtime_ns for path in data.iterdir()}
    prepare(splits, Vocabulary("hugging_face", source=folder), {}, data)
    assert {path: path.stat().st_mtime_ns for path in data.iterdir()} == before
    byte_level(symbols=290).save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="prepared with another tokenizer"):
        prepare(splits, Vocabulary("hugging_face", source=tmp_path / "other"), {}, data)


def test_a_copy_of_the_vocabulary(data, tmp_path):
    prepare({"test": TEXTS[:2]}, Vocabulary("copy", source=data), {}, tmp_path / "copy")
    tokenizer = load_tokenizer(tmp_path / "copy")
    assert tokenizer.decode(running_text(tmp_path / "copy", "test")) == "\n".join(TEXTS[:2]) + "\n"


def broken(data, tmp_path, name, content):
    for path in data.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (TOKENIZER_NAME, None, "no such file"),
        (SYMBOLS_NAME, None, "go together"),
        (TOKENIZER_NAME, "{}", "not a Hugging Face tokenizer"),
        (SYMBOLS_NAME, json.dumps(THREE), "do not belong together"),
    ],
)
def test_broken_data(data, tmp_path, name, content, problem):
    with pytest.raises(UserError, match=problem):
        load_tokenizer(broken(data, tmp_path, name, content))


def test_bad_folders(tmp_path):
    with pytest.raises(UserError, match=r"--tokenizer: .*missing: no such folder"):
        load_original(tmp_path / "missing", "--tokenizer")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="no tokenizer") as problem:
        load_original(tmp_path, "--tokenizer")
    assert "\n" not in str(problem.value)
    words(["a", "b"], unk_token="a").save_pretrained(tmp_path / "endless")
    with pytest.raises(UserError, match="no symbol that ends a text"):
        load_original(tmp_path / "endless", "--tokenizer")


def test_a_torchaudio_that_does_not_load_is_left_out(tmp_path, monkeypatch):
    """A new transformers loads it if it is there; of fairseq's, the libraries may be missing."""
    (tmp_path / "torchaudio.py").write_text("raise OSError('libc10_cuda.so: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    for installed, is_left_out in (("4.57.6", False), ("5.24.0", True)):
        monkeypatch.setattr(hugging_face, "version", lambda _, found=installed: found)
        hugging_face.import_transformers("--tokenizer")
        assert ("torchaudio" in sys.modules) == is_left_out
    assert find_spec("torchaudio") is None
    monkeypatch.delitem(sys.modules, "torchaudio")


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--tokenizer=gpt2", "--corpus=pydocs"], "give hf:MODEL_DIR, not gpt2"),
        (
            ["--tokenizer=hf:x", "--corpus=pydocs", "--vocab-size=9"],
            "--tokenizer brings the vocabulary",
        ),
        (
            ["--tokenizer=hf:x", "--corpus=pydocs", "--vocab-from=y"],
            "--tokenizer brings the vocabulary",
        ),
        (["--tokenizer=hf:x", "--corpus=addition"], "addition has symbols of its own"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, capsys, flags, problem):
    with pytest.raises(SystemExit) as ended:
        main(["prepare", *flags, f"--dest={tmp_path / 'd'}"])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
