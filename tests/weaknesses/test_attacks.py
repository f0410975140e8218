from functools import partial
from random import Random

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary

from fairseq_ebm.data.tokenizers import SentencePieceTokenizer, SymbolTokenizer, train_sentencepiece
from fairseq_ebm.detection import metrics
from fairseq_ebm.detection.metrics import Scores
from fairseq_ebm.errors import UserError
from fairseq_ebm.negatives.store import NegativesSubset
from fairseq_ebm.weaknesses import attacks
from fairseq_ebm.weaknesses.attacks import ATTACKS, LOOK_ALIKES, RANDOM, MarkedWindow, WindowPairs
from tests.stores import random_store

PAD, EOS = 1, 2
ENGLISH = [
    f"The {n} of {i} years saw a {v} and an apple near the old house.\nThen it left, or so I say."
    for i, (n, v) in enumerate((n, v) for n in ("fox", "king", "child") for v in ("ship", "dog"))
] * 5


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer(train_sentencepiece(ENGLISH, 360))


def run(name, text, share=1.0, seed=1):
    return ATTACKS[name](text, share, Random(seed))


@pytest.mark.parametrize(
    "name, text, expected",
    [
        ("homoglyphs", "A cat, 3 dwarfs", "\u0410 \u0441\u0430t, 3 dw\u0430rf\u0455"),
        ("zero-width spaces", "an ox1 é", "a\u200bn o\u200bx1 é"),
        ("double spaces", "a b\nc", "a  b\nc"),
        ("lower case", "The ÉLAN of 3", "the élan of 3"),
        ("no articles", "The cat ate an apple and the\nanthem", "cat ate apple and the\nanthem"),
    ],
)
def test_every_place(name, text, expected):
    assert run(name, text) == expected


def test_every_digit_is_another():
    text = "0123456789 and 42"
    found = run("other digits", text)
    assert len(found) == len(text)
    for before, after in zip(text, found):
        assert (before != after) == before.isdigit() and after.isdigit() == before.isdigit()
    assert {run("other digits", "5", seed=seed) for seed in range(200)} == set("012346789")


def test_look_alikes_are_not_latin():
    assert len(LOOK_ALIKES) == 24 and all(c.isascii() for c in LOOK_ALIKES)
    assert all("\u0400" <= c <= "\u04ff" for c in LOOK_ALIKES.values())
    assert all(c.isupper() == other.isupper() for c, other in LOOK_ALIKES.items())


@pytest.mark.parametrize("name", ATTACKS)
def test_shares(name):
    text = "The owl ate a 7 " * 400
    assert run(name, text, share=0.0) == text
    assert run(name, text, share=0.5) == run(name, text, share=0.5)
    assert run(name, text, share=0.5) != run(name, text, share=0.5, seed=2)
    half = run(name, text, share=0.5).split("owl" if name == "double spaces" else " ")
    assert len(set(half)) > 1, "nothing or everything was changed"


def test_half_of_the_places():
    found = run("double spaces", "x " * 2000, share=0.5)
    assert 900 < found.count("  ") < 1100


def tokens_of(tokenizer, *lines):
    """Lines with </s> between them."""
    first, *rest = tokenizer.encode(lines)
    return np.concatenate([first, *(np.concatenate([[EOS], line]) for line in rest)])


def windows(tokenizer, lines, context=3, right_to_left=False):
    window = tokens_of(tokenizer, *lines)
    part = slice(0, len(window) - context) if right_to_left else slice(context, len(window))
    return MarkedWindow(window, part)


@pytest.mark.parametrize("right_to_left", [False, True])
def test_text_that_nothing_is_done_to(tokenizer, right_to_left):
    for lines in (["The king saw a dog.", " Then it left"], ["", "x", ""], ["near\nthe old"]):
        text = windows(tokenizer, lines, context=1, right_to_left=right_to_left)
        assert attacks.rewritten(text, tokenizer, str).tolist() == text.window.tolist()


def test_longer_and_shorter_text(tokenizer):
    text = windows(tokenizer, ["The king saw a dog near the old house"])
    size, context = len(text.window), text.window[:3].tolist()
    own = tokenizer.decode(text.window[3:])
    longer = attacks.rewritten(text, tokenizer, lambda line: "zzzz" + line)
    (expected,) = tokenizer.encode(["zzzz" + own])
    assert longer.tolist() == [*context, *expected][:size]
    shorter = attacks.rewritten(text, tokenizer, lambda line: line[:4])
    (expected,) = tokenizer.encode([own[:4]])
    assert shorter.tolist() == [*context, *expected, *[PAD] * (size - 3 - len(expected))]


def test_right_to_left_the_context_stays(tokenizer):
    text = windows(tokenizer, ["The king saw a dog near the old house"], right_to_left=True)
    own, context = tokenizer.decode(text.window[:-3]), text.window[-3:].tolist()
    longer = attacks.rewritten(text, tokenizer, lambda line: "zzzz" + line)
    (expected,) = tokenizer.encode(["zzzz" + own])
    assert longer.tolist() == [*expected, *context][-len(text.window) :]
    shorter = attacks.rewritten(text, tokenizer, lambda line: line[:4])
    (expected,) = tokenizer.encode([own[:4]])
    filling = [PAD] * (len(text.window) - 3 - len(expected))
    assert shorter.tolist() == [*expected, *context, *filling]


def test_text_of_which_nothing_is_left(tokenizer):
    text = windows(tokenizer, ["the the the "], context=0)
    attack = partial(ATTACKS["no articles"], share=1.0, random=Random(1))
    assert attacks.rewritten(text, tokenizer, attack).tolist() == text.window.tolist()


def test_a_word_is_enough_to_be_found(tokenizer):
    """An energy that looks for "the" is blind to text without articles, and to no other attack
    that leaves that word alone."""
    (the,) = tokenizer.encode([" the"])
    assert len(the) == 1
    real = [windows(tokenizer, ["The king saw a dog and so I say"])] * 4
    generated = [windows(tokenizer, ["The child saw the house, the dog"])] * 4
    energy = lambda batch: (batch == int(the[0])).sum(dim=1).double() - 0.5  # noqa: E731
    size = min(len(real[0].window), len(generated[0].window))
    kinds = ([MarkedWindow(t.window[:size], slice(3, size)) for t in k] for k in (real, generated))
    texts = WindowPairs(*kinds)
    rows = {
        row["attack"]: row
        for row in attacks.attacked(texts, tokenizer, energy, 1.0, threshold=0.0, seed=1)
    }
    assert list(rows) == ["none", "encoded again", RANDOM, *ATTACKS]
    assert rows[RANDOM]["changed"] == 1.0
    assert rows["none"]["accuracy"] == rows["encoded again"]["accuracy"] == 1.0
    assert rows["none"]["changed"] == rows["encoded again"]["changed"] == 0.0
    assert rows["no articles"]["accuracy"] == rows["no articles"]["auroc"] == 0.5
    assert rows["no articles"]["found"] == 0.0 and rows["no articles"]["changed"] == 1.0
    assert rows["other digits"] == {**rows["none"], "attack": "other digits"}


def test_the_same_seed_gives_the_same_rows(tokenizer):
    text = windows(tokenizer, ["The king saw a dog", "Then it left, or so I say"])
    texts = WindowPairs([text] * 3, [text] * 3)
    energy = lambda batch: (batch * torch.arange(batch.size(1))).sum(dim=1).double()  # noqa: E731

    def rows(seed):
        return list(attacks.attacked(texts, tokenizer, energy, 0.5, 0.0, seed))

    assert rows(1) == rows(1) and rows(1) != rows(2)


def test_symbols_at_random_stand_in_the_part_alone(tokenizer):
    text = windows(tokenizer, ["The king saw a dog and so I say what the king saw"])
    texts = [MarkedWindow(text.window, slice(3, 9))] * 200
    found = np.stack(list(attacks.randomised(texts, tokenizer, 1)))
    assert (found[:, :3] == text.window[:3]).all() and (found[:, 9:] == text.window[9:]).all()
    drawn, symbols = found[:, 3:9], len(tokenizer.dictionary)
    assert drawn.min() >= 4 and drawn.max() < symbols
    assert len(np.unique(drawn)) > 0.5 * min(symbols, 1200)


def test_symbols_that_no_dictionary_has():
    dictionary = Dictionary()
    for symbol in ("cat", "7"):
        dictionary.add_symbol(symbol)
    text = MarkedWindow(np.array([4, 5, 4]), slice(1, 3))
    attack = partial(ATTACKS["homoglyphs"], share=1.0, random=Random(1))
    found = attacks.rewritten(text, SymbolTokenizer(dictionary), attack)
    assert found.tolist() == [4, 5, dictionary.unk()]


def test_the_first_tokens_alone():
    """The third generated token gives all away; the fourth is noise."""
    real = [MarkedWindow(np.array([9, 9, 4, 4, 4, n]), slice(2, 6)) for n in (4, 5)]
    generated = [MarkedWindow(np.array([9, 9, 4, 4, 7, n]), slice(2, 6)) for n in (4, 5)]
    short = slice(4, 6)
    energy = lambda batch: (batch == 7).sum(dim=1).double()  # noqa: E731
    rows = list(
        attacks.by_visible_tokens(WindowPairs(real, generated), [2, 3, 4], energy, 0.5, PAD)
    )
    assert [row["accuracy"] for row in rows] == [0.5, 1.0, 1.0]
    assert [row["auroc"] for row in rows] == [0.5, 1.0, 1.0]
    assert attacks.cut(real[0], 3, PAD).tolist() == [9, 9, 4, 4, 4, PAD]
    some = WindowPairs(*([kind[0], kind[1]._replace(part=short)] for kind in (real, generated)))
    rows = list(attacks.by_visible_tokens(some, [2, 3], energy, 0.5, PAD))
    assert [row["num_windows"] for row in rows] == [2, 1]


@pytest.mark.parametrize("right_to_left", [False, True])
def test_texts_of_a_store(tmp_path, right_to_left):
    neg = random_store(tmp_path / "neg", count=5, negatives=2, right_to_left=right_to_left)
    subset = NegativesSubset(neg, "valid")
    found = attacks.texts_of(subset, [1, 3])
    for i, real, generated in zip([1, 3], found.real, found.generated):
        assert real.window.tolist() == subset[i].real.tolist()
        assert generated.window.tolist() == subset[i].negatives[0].tolist()
        assert real.part == generated.part == (slice(0, 8) if right_to_left else slice(8, 16))


def test_an_energy_that_is_not_finite_is_named():
    text = MarkedWindow(np.array([4, 5]), slice(1, 2))
    energy = lambda batch: torch.tensor([0.0, float("nan")], dtype=torch.float64)  # noqa: E731
    with pytest.raises(UserError, match="--path: the energy: not finite for window 8"):
        attacks.scores(WindowPairs([text] * 2, [text] * 2), energy, [5, 8])


def test_thresholds():
    apart = Scores(np.array([-2.0, -1.0]), np.array([3.0, 4.0]))
    assert attacks.best_threshold(apart) == 1.0  # halfway between -1 and 3
    alike = Scores(np.zeros(3), np.zeros(3))
    assert attacks.best_threshold(alike) is None


def test_one_accuracy_for_discriminate_and_weaknesses():
    """Scores with many ties, at the threshold that other ones set, and at one that many are on."""
    generator = np.random.default_rng(5)
    valid, test = (
        Scores(
            generator.integers(0, 4, 20).astype(float),
            generator.integers(1, 5, 20).astype(float),
        )
        for _ in range(2)
    )
    best = attacks.best_threshold(valid)
    assert best not in np.concatenate([valid.real, valid.generated])
    for threshold in (best, 2.0):
        ours = attacks.judged(
            torch.from_numpy(test.real), torch.from_numpy(test.generated), threshold
        )
        row = metrics.row(test, metrics.Thresholds(accuracy=threshold, fpr_5=threshold), 1)
        assert row["accuracy"] == pytest.approx(ours["accuracy"])
        assert row["tpr_at_fpr_5"] == pytest.approx(ours["found"])
