"""GPT-2's BPE with a handmade vocabulary: the bytes and a few merges."""

import json
import random

import numpy as np
import pytest
from fairseq.data import Dictionary
from fairseq.data.encoders.gpt2_bpe_utils import bytes_to_unicode

from fairseq_ebm.data.gpt2_bpe import Gpt2Tokenizer
from fairseq_ebm.data.tokenizers import VOCABULARY_FILES, load_tokenizer, require_known
from fairseq_ebm.errors import UserError
from fairseq_ebm.negatives.store import begin
from tests.data.test_tokenizers import ENGLISH, STRANGE
from tests.negatives.test_store import MANIFEST

MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("l", "l")]
SPECIAL = ["<mask>", "madeupword0000"]


def write_gpt2(folder, left_out=(), merges=MERGES):
    """encoder.json, vocab.bpe and a shuffled dict.txt that lacks some of the tokens."""
    folder.mkdir(exist_ok=True)
    tokens = [*bytes_to_unicode().values(), *("".join(merge) for merge in MERGES)]
    (folder / "encoder.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    lines = [" ".join(merge) + "\n" for merge in merges]
    (folder / "vocab.bpe").write_text("#version: 0.2\n" + "".join(lines), encoding="utf-8")
    ids = [str(i) for i, token in enumerate(tokens) if token not in left_out]
    random.Random(1).shuffle(ids)
    (folder / "dict.txt").write_text("".join(f"{symbol} 1\n" for symbol in [*ids, *SPECIAL]))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_gpt2(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="module")
def tokenizer(data):
    return load_tokenizer(data)


@pytest.mark.parametrize("text", STRANGE + ENGLISH[:1] + ["a line\nand another"])
def test_lossless(tokenizer, text):
    (indices,) = tokenizer.encode([text])
    assert indices.dtype == np.int64 and tokenizer.decode(indices) == text
    assert all(tokenizer.dictionary[i].isdecimal() for i in indices)


def test_lossless_on_random_unicode(tokenizer):
    chooser = random.Random(0)
    code_points = [*range(0x250), *range(0x1F600, 0x1F650), 0x3000, 0x2028]
    texts = ["".join(map(chr, chooser.choices(code_points, k=50))) for _ in range(300)]
    assert [tokenizer.decode(indices) for indices in tokenizer.encode(texts)] == texts


def test_symbols_are_the_ids_of_merged_tokens(tokenizer):
    """As in fairseq's own preprocessing: "the" is one, " the" another."""
    (indices,) = tokenizer.encode(["the the th ll"])
    ids = [int(tokenizer.dictionary[i]) for i in indices]
    space = list(bytes_to_unicode().values()).index("Ġ")
    assert ids == [257, 258, space, 256, space, 259]
    assert [tokenizer.decode([i]) for i in indices[:2]] == ["the", " the"]


def test_what_the_dictionary_lacks_is_unknown(tmp_path):
    tokenizer = load_tokenizer(write_gpt2(tmp_path, left_out=["the", "q"]))
    first, second = tokenizer.encode(["theq", "ll"])
    assert first.tolist() == [3, 3] and 3 not in second
    assert tokenizer.decode([*second, *first]) == "ll<unk><unk>"


def test_symbols_that_are_not_ids(tokenizer):
    (text,) = tokenizer.encode(["ll"])
    eos = tokenizer.dictionary.eos()
    others = [tokenizer.dictionary.index(symbol) for symbol in SPECIAL]
    assert 3 not in others
    assert tokenizer.decode([*text, *others, eos, *text, eos]) == ("ll<mask>madeupword0000\nll\n")
    assert tokenizer.decode([]) == ""


def test_a_part_of_a_character(tokenizer):
    (indices,) = tokenizer.encode(["é"])
    assert len(indices) == 2 and tokenizer.decode(indices[:1]) == "\ufffd"


def test_its_files_go_with_the_data(data, tmp_path):
    begin(tmp_path / "neg", MANIFEST, data)
    names = {path.name for path in (tmp_path / "neg").iterdir()} & set(VOCABULARY_FILES)
    assert names == {"dict.txt", "encoder.json", "vocab.bpe"}
    copied = load_tokenizer(tmp_path / "neg")
    assert isinstance(copied, Gpt2Tokenizer)
    assert all((tmp_path / "neg" / n).read_bytes() == (data / n).read_bytes() for n in names)


def test_files_that_are_wrong(tmp_path):
    for missing in ("encoder.json", "vocab.bpe"):
        folder = write_gpt2(tmp_path / missing)
        (folder / missing).unlink()
        with pytest.raises(UserError, match=rf"{missing}: no such file; GPT-2's BPE needs it"):
            load_tokenizer(folder)
    folder = write_gpt2(tmp_path / "other", merges=[*MERGES, ("o", "f")])
    with pytest.raises(UserError, match=r"encoder\.json: has no token 'of'"):
        load_tokenizer(folder)
    for content in ("no", "[]", '{"the": "x", "日": 3}'):
        (folder / "encoder.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=r"encoder\.json and vocab\.bpe: not GPT-2's"):
            load_tokenizer(folder)


def test_text_in_another_form_is_refused():
    dictionary = Dictionary()
    dictionary.add_symbol("13")
    require_known([], dictionary, "x")
    require_known([np.array([4, 4, 3]), np.array([3])], dictionary, "x")
    with pytest.raises(UserError) as error:
        require_known([np.array([4, 4, 3]), np.array([3, 3])], dictionary, "--prefix")
    assert "3 of 5 tokens are <unk>" in str(error.value) and "encoder.json" in str(error.value)
    assert str(error.value).startswith("--prefix: ")
