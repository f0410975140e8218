"""What a window says again, held to looking for it in Python."""

import pytest
import torch

from fairseq_ebm.models import repeats
from fairseq_ebm.models.by_heart import PER_STEP
from fairseq_ebm.models.repeats import KINDS, RepeatTable, repeated

PADDING = 1


def few_symbols(rows=6, length=20, symbols=5, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(4, 4 + symbols, (rows, length), generator=generator)


def longest_by_hand(row, i, longest):
    for n in range(min(longest, i + 1), 0, -1):
        ending = row[i - n + 1 : i + 1]
        if any(row[j - n + 1 : j + 1] == ending for j in range(n - 1, i)):
            return n
    return 0


def table(longest, given=(0, 0), symbols=12):
    result = RepeatTable(longest, symbols, PADDING, given)
    generator = torch.Generator().manual_seed(1)
    for numbers in (result.lengths, result.of_symbols):
        torch.nn.init.normal_(numbers.weight, generator=generator)
    return result


@pytest.mark.parametrize("longest", [1, 3, 8])
@pytest.mark.parametrize("first", [0, 1, 7, 19])
def test_the_longest_sequence_that_stood_before(longest, first):
    rows = few_symbols()
    expected = [[longest_by_hand(row, i, longest) for i in range(20)] for row in rows.tolist()]
    assert repeated(rows, longest, first).tolist() == [each[first:] for each in expected]


def test_sequences_may_overlap():
    assert repeated(torch.tensor([[5, 5, 5, 5]]), 8).tolist() == [[0, 1, 2, 3]]
    assert repeated(torch.tensor([[5, 6, 5, 6, 5]]), 8).tolist() == [[0, 0, 1, 2, 3]]


@pytest.mark.parametrize("given", [(0, 0), (5, 0), (0, 6)])
def test_the_sum_over_the_continuation(given, monkeypatch):
    monkeypatch.setattr(repeats, "AT_ONCE", 3 * 20 * 20)  # 3 rows at a time
    part, batch, (first, last) = table(4, given), few_symbols().view(2, 3, 20), given
    expected = torch.zeros(2, 3)
    for b, m in ((b, m) for b in range(2) for m in range(3)):
        row = batch[b, m].tolist()
        for i in range(first, 20 - last):
            n = longest_by_hand(row, i, 4)
            expected[b, m] += float(part.lengths.weight[n])
            expected[b, m] += float(part.of_symbols.weight[row[i] * KINDS + min(n, KINDS - 1)])
    torch.testing.assert_close(part(batch), PER_STEP * expected, atol=1e-3, rtol=1e-5)


def test_padding_repeats_nothing():
    part, batch = table(4, (5, 0)), few_symbols().view(2, 3, 20)
    padded = torch.nn.functional.pad(batch, (0, 4), value=PADDING)
    torch.testing.assert_close(part(padded), part(batch))


@pytest.mark.parametrize("symbols", [9, 12])
@pytest.mark.parametrize("given", [(0, 0), (5, 0), (0, 6)])
def test_the_change_when_a_symbol_is_replaced(given, symbols):
    part, window = table(3, given, symbols), few_symbols()[0]
    changes = part.changes(window, symbols, torch.arange(1, 20))
    assert not changes.requires_grad
    for t in range(1, len(window)):
        edited = window.repeat(symbols, 1)
        edited[:, t] = torch.arange(symbols)
        expected = part(edited[None])[0] - part(window[None, None])[0]
        some = torch.arange(symbols) != PADDING
        torch.testing.assert_close(changes[t - 1][some], expected[some], atol=1e-3, rtol=1e-4)
