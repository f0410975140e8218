"""Text comes back from its tokens unchanged, whatever is in it."""

import random

import pytest
from fairseq.data import Dictionary

from fairseq_ebm.data.tokenizers import (
    SentencePieceTokenizer,
    SymbolTokenizer,
    load_tokenizer,
    train_sentencepiece,
)
from fairseq_ebm.errors import UserError

ENGLISH = [
    f"The {a} {n} {v} over   the lazy dogs,\n\tand nobody's {n} cared (number {i})."
    for i, (a, n, v) in enumerate(
        (a, n, v)
        for a in ("quick", "slow", "brown")
        for n in ("fox", "horse", "programmer")
        for v in ("jumps", "leaps", "climbs")
    )
]
STRANGE = [
    "",
    " ",
    "  two before, two behind  ",
    "emoji 👩‍👩‍👧 🇩🇪 ❤️",
    "\u202eright to left: שלום مرحبا\u202c",
    "".join(map(chr, range(0x20))) + "\x7f\x80\x9f",
    "CR LF\r\nNEL\x85LS\u2028PS\u2029",
    "spaces\u00a0\u2003\u3000\ufeff",
    "\u2581",
    "a\u2581\u2581b \u2581",
    "</s> <s> <pad> <unk> <0x0A> #fairseq:overwrite",
    "\U0010ffff \uffff \ue000",
    "combining e\u0301 and é, half ½, ﬁ ligature, ①",
]


@pytest.fixture(scope="module")
def model():
    return train_sentencepiece(ENGLISH, 400)


@pytest.fixture(scope="module")
def tokenizer(model):
    return SentencePieceTokenizer(model)


@pytest.mark.parametrize("text", STRANGE + ENGLISH[:1])
def test_sentencepiece_is_lossless(tokenizer, text):
    (indices,) = tokenizer.encode([text])
    assert tokenizer.decode(indices) == text
    assert not {0, 1, 2, 3} & set(indices.tolist())  # no special symbol, no <unk>


def test_sentencepiece_is_lossless_on_random_unicode(tokenizer):
    chooser = random.Random(0)
    code_points = [*range(0x250), *range(0x2500, 0x2600), *range(0x1F600, 0x1F650), 0x3000, 0x2028]
    texts = ["".join(map(chr, chooser.choices(code_points, k=50))) for _ in range(300)]
    assert [tokenizer.decode(indices) for indices in tokenizer.encode(texts)] == texts


def test_a_long_line_is_one_text(tokenizer):
    text = "a long line, " * 80_000
    (indices,) = tokenizer.encode([text])
    assert len(text) > 1_000_000 and tokenizer.decode(indices) == text


def test_symbols_survive_fairseqs_reading(tokenizer, tmp_path):
    """fairseq splits at white space and reads dict.txt by lines, which Python ends in many ways."""
    assert all(symbol.split() == [symbol] for symbol in tokenizer.dictionary.symbols)
    tokenizer.dictionary.save(str(tmp_path / "dict.txt"))
    assert Dictionary.load(str(tmp_path / "dict.txt")).symbols == tokenizer.dictionary.symbols


def test_any_order_of_the_dictionary_works(model, tokenizer):
    shuffled = Dictionary()
    symbols = tokenizer.dictionary.symbols[4:]
    random.Random(1).shuffle(symbols)
    for symbol in symbols:
        shuffled.add_symbol(symbol)
    other = SentencePieceTokenizer(model, shuffled)
    assert [other.decode(i) for i in other.encode(STRANGE)] == STRANGE
    (indices,) = other.encode([ENGLISH[0]])
    assert [shuffled[i] for i in indices] == [
        tokenizer.dictionary[i] for i in tokenizer.encode([ENGLISH[0]])[0]
    ]


def test_end_of_sentence_becomes_a_line_feed(tokenizer):
    eos = tokenizer.dictionary.eos()
    first, second = tokenizer.encode(["one fox", "two"])
    window = [*first[1:], eos, *second, eos]
    assert tokenizer.decode(window) == tokenizer.decode(first[1:]) + "\ntwo\n"
    assert tokenizer.decode([]) == ""


def test_training_is_repeatable(model):
    assert train_sentencepiece(ENGLISH, 400) == model


@pytest.mark.parametrize(
    ("size", "message"), [(100_000, "at most [0-9]+"), (20, "at least [0-9]+")]
)
def test_vocabulary_sizes_that_do_not_fit(size, message):
    with pytest.raises(UserError, match=f"--vocab-size: {size} .*{message}"):
        train_sentencepiece(ENGLISH, size)


def test_the_sizes_that_the_errors_name_do_fit():
    for size in (100_000, 20):
        with pytest.raises(UserError) as error:
            train_sentencepiece(ENGLISH, size)
        train_sentencepiece(ENGLISH, int(str(error.value).split()[-1]))


def test_text_without_printable_characters_has_no_vocabulary():
    with pytest.raises(UserError, match="no printable character"):
        train_sentencepiece(["\x00\n\x01"], 400)


def test_pieces_that_the_dictionary_lacks_are_unknown_both_ways(model):
    small = Dictionary()
    small.add_symbol("\u2581")
    tokenizer = SentencePieceTokenizer(model, small)
    (indices,) = tokenizer.encode(["a b"])
    assert indices.tolist() == [3, *indices.tolist()[1:]] and "\u2047" in tokenizer.decode([3])


def test_an_interrupted_read_is_not_blamed_on_the_vocabulary():
    def interrupted():
        yield "some text"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sentencepiece(interrupted(), 400)


def test_symbol_text():
    dictionary = Dictionary()
    for symbol in "1234+=":
        dictionary.add_symbol(symbol)
    tokenizer = SymbolTokenizer(dictionary)
    one, two = tokenizer.encode(["1 + 3 = 4", "9"])
    assert tokenizer.decode(one) == "1 + 3 = 4"
    assert two.tolist() == [dictionary.unk()]
    assert tokenizer.decode([*one, dictionary.eos(), *one]) == "1 + 3 = 4\n1 + 3 = 4"


def test_loading_names_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match=r"dict\.txt: no such file"):
        load_tokenizer(tmp_path)
    (tmp_path / "dict.txt").write_text("a 1\nbroken\n")
    with pytest.raises(UserError, match=r"dict\.txt: not a fairseq dictionary"):
        load_tokenizer(tmp_path)
    (tmp_path / "dict.txt").write_text("a 1\n")
    assert isinstance(load_tokenizer(tmp_path), SymbolTokenizer)
    (tmp_path / "sentencepiece.model").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"sentencepiece.model: not a sentencepiece model"):
        load_tokenizer(tmp_path)
