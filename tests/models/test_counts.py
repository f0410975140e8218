"""Counts of the training text, held to counting in Python."""

from collections import Counter

import numpy as np
import pytest
import torch

from fairseq_ebm.errors import UserError
from fairseq_ebm.models import counts
from fairseq_ebm.models.by_heart import PER_STEP
from fairseq_ebm.models.counts import LEVELS, CountTable
from fairseq_ebm.negatives.covered import HOLE
from tests.models.energies import build

PADDING = 1
TEXT = np.random.default_rng(1).integers(4, 9, size=900)
TEXT[[200, 201, 555]] = HOLE


def sequences(text, longest):
    found = Counter()
    for n in range(1, longest + 1):
        for i in range(len(text) - n + 1):
            part = tuple(text[i : i + n].tolist())
            if HOLE not in part:
                found[part] += 1
    return found


def level(count):
    return sum(count >= edge for edge in counts.FIRST_OF_LEVEL)


def table(longest, given=(0, 0), text=TEXT):
    result = CountTable(longest, PADDING, given)
    torch.nn.init.normal_(result.numbers.weight, generator=torch.Generator().manual_seed(1))
    result.count(text)
    return result


def by_hand(part, row, of_text):
    """Each position and each n alone; a sequence that begins before the window has no count."""
    numbers = part.numbers.weight.view(part.longest, LEVELS, LEVELS).tolist()
    total, (first, last) = 0.0, part.given.tolist()
    for i in range(first, len(row) - last):
        for n in range(1, part.longest + 1):
            begin = i - n + 1
            whole = of_text[tuple(row[begin : i + 1])] if begin >= 0 else 0
            before = of_text[tuple(row[begin:i])] if begin >= 0 and n > 1 else 0
            total += numbers[n - 1][level(before)][level(whole)]
    return PER_STEP * total


def rows(symbols=9, count=6, length=14, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(4, symbols + 2, (2, count // 2, length), generator=generator)


@pytest.mark.parametrize("block", [64, 1 << 20])
def test_counts_are_those_of_the_text(block, monkeypatch):
    monkeypatch.setattr(counts, "BLOCK", block)
    part, expected = table(3), sequences(TEXT, 3)
    for sequence, count in expected.items():
        found = counts.ngrams(torch.tensor([sequence]), len(sequence), PADDING, part.bits)
        assert int(part.counts[found[-1][0, -1]]) == min(count, counts.MOST)
    assert int((part.counts > 0).sum()) == len(expected), "nothing else was counted"


@pytest.mark.parametrize("longest", [1, 2, 4])
@pytest.mark.parametrize("given", [(0, 0), (5, 0), (0, 6), (2, 0)])
def test_the_sum_over_the_continuation(longest, given):
    part, batch, of_text = table(longest, given), rows(), sequences(TEXT, longest)
    expected = [[by_hand(part, row, of_text) for row in each] for each in batch.tolist()]
    torch.testing.assert_close(part(batch), torch.tensor(expected), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("given", [(0, 0), (6, 0)])
def test_in_training_the_real_window_is_as_if_it_had_not_been_read(given):
    """By counting a text without it: the window lies between two holes, and its sequences nowhere
    else reach into it."""
    start, length = 300, 14
    real = torch.from_numpy(TEXT[start : start + length])
    batch = torch.stack([real, *rows()[0]])[None]
    held = table(3, given)
    elsewhere = sequences(TEXT, 3) - sequences(TEXT[start : start + length], 3)
    expected = [by_hand(held, row, elsewhere) for row in batch[0].tolist()]
    found = held(batch, real[None])[0]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-3, rtol=1e-5)
    assert not torch.equal(found, held(batch)[0])


def test_windows_longer_than_another_are_padded_and_know_their_own():
    part, batch = table(3), rows()
    real = batch[:, 0]
    padded = torch.nn.functional.pad(batch, (0, 3), value=PADDING)
    torch.testing.assert_close(part(padded, padded[:, 0]), part(batch, real))


@pytest.mark.parametrize("given", [(0, 0), (5, 0), (0, 6)])
def test_the_change_when_a_symbol_is_replaced(given):
    part, window = table(3, given), rows()[0, 0]
    changes = part.changes(window, 14, torch.arange(2, 14))
    assert not changes.requires_grad
    for t in range(2, len(window)):
        edited = window.repeat(14, 1)
        edited[:, t] = torch.arange(14)
        expected = part(edited[None])[0] - part(window[None, None])[0]
        some = torch.arange(14) != PADDING
        torch.testing.assert_close(changes[t - 2][some], expected[some], atol=1e-3, rtol=1e-4)


def test_many_are_one_level_and_none_overflows():
    part = table(1, text=np.full(1000, 5))
    assert int(part.counts.max()) == counts.MOST
    part.count(np.full(1000, 5))
    assert int(part.counts.max()) == counts.MOST


def test_they_are_kept_in_the_weights_and_in_any_precision():
    trained, loaded = build("energy_ngram", counts=3), build("energy_ngram", counts=3)
    trained.counts.count(TEXT)
    batch = rows()
    loaded.load_state_dict(trained.state_dict())
    assert torch.equal(loaded(batch), trained(batch))
    trained.half()
    assert trained.counts.counts.dtype == torch.uint8
    torch.testing.assert_close(trained(batch), loaded(batch), atol=1, rtol=0.01)


def test_only_training_takes_the_real_window_out():
    energy = build("energy_ngram", counts=3)
    energy.counts.count(TEXT)
    batch = torch.stack([torch.from_numpy(TEXT[i : i + 14]) for i in (10, 40, 70)])[None]
    judged = energy(batch)
    left_out = energy(batch[:, 1:], 0, batch[:, 0])
    energy.train()
    assert not torch.equal(energy(batch), judged)
    assert torch.equal(energy(batch)[:, 1:], left_out)
    assert torch.equal(energy.energy(batch[0]), judged[0])


@pytest.mark.parametrize("options", [{"counts": -1}, {"repeats": -1}])
def test_too_short(options):
    (name,) = options
    with pytest.raises(UserError, match=f"--{name}: -1 is below 0"):
        build("energy_ngram", **options)


def test_too_few_or_too_many():
    with pytest.raises(UserError, match="--count-bits: 29 is not between 1 and 28"):
        build("energy_ngram", counts=2, count_bits=29)
