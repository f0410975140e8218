"""Tokens and words of windows: which one a place belongs to, and windows in which it is changed."""

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary

from fairseq_ebm.data.tokenizers import SentencePieceTokenizer, SymbolTokenizer, train_sentencepiece
from fairseq_ebm.errors import UserError
from fairseq_ebm.weaknesses.units import Tokens, Words

PAD, EOS = 1, 2
WINDOWS = torch.tensor([[4, 5, 6, 7], [8, 9, 4, 4], [5, 5, 5, 9]])
TEXT = ["John met John, and he didn't greet 3 of the old friends."] * 20


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer(train_sentencepiece(TEXT, 300))


@pytest.fixture(scope="module")
def window(tokenizer):
    """Three documents, one of them without a word: (1, T), whole words at both ends."""
    lines = tokenizer.encode(["John didn't greet old foes.", " ...", "He met friends"])
    parts = [part for line in lines for part in (line, [EOS])][:-1]
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))[None]


def text_of(tokenizer, windows):
    (found,) = windows
    return tokenizer.decode(found[found != PAD].tolist())


def symbols(*names):
    dictionary = Dictionary()
    for name in names:
        dictionary.add_symbol(name)
    return SymbolTokenizer(dictionary)


def test_tokens_replaced():
    found = Tokens(symbols()).replaced(WINDOWS, [2, 0, 3], 11)
    assert found.tolist() == [[4, 5, 11, 7], [11, 9, 4, 4], [5, 5, 5, 11]]
    assert WINDOWS[0].tolist() == [4, 5, 6, 7]


def test_neighbouring_tokens_swapped():
    swapped = Tokens(symbols()).swapped
    assert swapped(WINDOWS, [0, 2, 3]).tolist() == [[5, 4, 6, 7], [8, 9, 4, 4], [5, 5, 9, 5]]
    assert swapped(WINDOWS, [2, 1, 0])[0].tolist() == [4, 5, 7, 6]
    assert swapped(WINDOWS[:, :1], [0, 0, 0]).tolist() == [[4], [8], [5]]


def test_tokens_by_name():
    unit = Tokens(symbols("the", "John"))
    assert unit.read("John", "--entity") == 5 and unit.text(5) == "John"
    with pytest.raises(UserError, match=r"^--common: 'Jane' is not one token"):
        unit.read("Jane", "--common")
    assert unit.by_frequency(torch.tensor([[2, 2, 2, 5, 5], [2, 3, 3, 3, 4]])) == [5, 4]
    assert unit.first_place(WINDOWS[2], 9) == 3 and unit.first_place(WINDOWS[2], 4) is None


def test_tokens_come_with_their_space():
    text = ["John met John, and John met nobody."] * 20
    unit = Tokens(SentencePieceTokenizer(train_sentencepiece(text, 290)))
    assert unit.text(unit.read("John", "--entity")) == " John"
    with pytest.raises(UserError, match="'Johannes' is not one token"):
        unit.read("Johannes", "--entity")


def test_the_word_of_every_token(tokenizer, window):
    """By enumeration: the word that holds the token's first letter, else the next one in its
    line, else the line's last; </s> and a line without words go with the line that follows."""
    unit = Words(tokenizer)
    spots = [unit.spot(window[0].numpy(), place) for place in range(window.size(1))]
    found = [spot.words[spot.which][0] for spot in spots]
    in_order = ["John", "didn't", "greet", "old", "foes", "He", "met", "friends"]
    assert list(dict.fromkeys(found)) == in_order
    assert found == sorted(found, key=in_order.index)
    pieces = [tokenizer.decode([i]).strip() for i in window[0].tolist()]
    for place, (piece, word) in enumerate(zip(pieces, found)):
        if piece.strip(".\ufffd"):
            assert piece.strip(".") in word, place
    first_end = window[0].tolist().index(EOS)
    assert found[first_end - 1] == "foes" and found[first_end] == "He"


def test_words_replaced_and_swapped(tokenizer, window):
    unit = Words(tokenizer)
    size = 3 * window.size(1)
    window = torch.nn.functional.pad(window, (0, size - window.size(1)), value=PAD)
    place = unit.first_place(window[0], "didn't")
    for found, words in (
        (unit.replaced(window, [place], "the"), "John the greet old foes.\n ...\nHe met friends"),
        (unit.swapped(window, [place]), "John greet didn't old foes.\n ...\nHe met friends"),
        (unit.replaced(window, [0], "X"), "X didn't greet old foes.\n ...\nHe met friends"),
        (unit.swapped(window, [size - 1]), "John didn't greet old foes.\n ...\nHe friends met"),
    ):
        assert found.shape == window.shape and text_of(tokenizer, found) == words
    assert unit.first_place(window[0], "Jane") is None
    he = unit.first_place(window[0], "He")
    assert text_of(tokenizer, unit.replaced(window, [he], "It")).endswith("\nIt met friends")


def test_windows_keep_their_size(tokenizer, window):
    """What a longer word pushes out is the end; a shorter one leaves padding there."""
    unit = Words(tokenizer)
    longer = unit.replaced(window, [0], "Quixotically")
    assert longer.shape == window.shape and PAD not in longer
    assert text_of(tokenizer, longer).startswith("Quixotically didn't greet")
    assert not text_of(tokenizer, longer).endswith("friends")
    shorter = unit.replaced(window, [unit.first_place(window[0], "foes")], "a")
    assert shorter.shape == window.shape and shorter[0, -1] == PAD
    assert text_of(tokenizer, shorter).endswith("old a.\n ...\nHe met friends")


def test_windows_without_words_stay(tokenizer):
    (line,) = tokenizer.encode([" ... !"])
    window = torch.from_numpy(line)[None]
    unit = Words(tokenizer)
    assert unit.replaced(window, [1], "John").equal(window) and unit.swapped(window, [1]).equal(
        window
    )
    (alone,) = tokenizer.encode(["John!"])
    alone = torch.from_numpy(alone)[None]
    assert unit.swapped(alone, [0]).equal(alone)


def test_encoded_again(tokenizer, window):
    """Whatever spells the text, the windows to compare with are as the tokenizer would have it."""
    unit = Words(tokenizer)
    assert unit.prepared(window).equal(window)
    spelled = [tokenizer.encode([letter])[0] for letter in "John"]
    odd = torch.from_numpy(np.concatenate(spelled))[None]
    again = unit.prepared(odd)
    assert text_of(tokenizer, again) == "John" and (again != PAD).sum() < odd.size(1)
    assert unit.prepared(again).equal(again)


def test_words_by_name(tokenizer, window):
    unit = Words(tokenizer)
    assert unit.read("didn't", "--entity") == "didn't" and unit.text("the") == "the"
    for wrong in ("New York", "", "..."):
        with pytest.raises(UserError, match=r"^--entity: .*is not one word"):
            unit.read(wrong, "--entity")
    twice = torch.cat([window, window])
    assert unit.by_frequency(twice)[:3] == ["John", "didn't", "greet"]
