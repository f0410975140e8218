"""What an energy knows by heart, held to counting in Python and to an enumerated world."""

import itertools
from types import SimpleNamespace

import pytest
import torch

from fairseq_ebm.errors import UserError
from fairseq_ebm.models import ngrams
from fairseq_ebm.models.by_heart import PER_STEP
from fairseq_ebm.models.ngrams import NgramTable
from fairseq_ebm.numerics.losses import conditional_nce
from tests.models.energies import build, windows

PADDING = 1


def table(longest, given=(0, 0)):
    result = NgramTable(longest, PADDING, given)
    torch.nn.init.normal_(result.numbers.weight, generator=torch.Generator().manual_seed(1))
    return result


def total(energy, rows):
    return energy(rows[None])[0]


def by_hand(energy, row):
    """The sum over sequences, each looked up alone: as a window that it fills to its end."""
    total = 0.0
    first, last = energy.given.tolist()
    for end, n in itertools.product(range(first, len(row) - last), range(1, energy.longest + 1)):
        sequence = [PADDING] * max(0, n - 1 - end) + row[max(0, end - n + 1) : end + 1]
        bucket = ngrams.ngrams(torch.tensor([sequence]), n, PADDING, energy.bits)[-1][0, -1]
        total += float(energy.numbers.weight[bucket])
    return PER_STEP * total


@pytest.mark.parametrize("longest", [1, 2, 4])
@pytest.mark.parametrize("given", [(0, 0), (5, 0), (0, 6)])
def test_the_sum_over_all_sequences_in_the_continuation(longest, given):
    energy, rows = table(longest, given), windows()[0]
    expected = [by_hand(energy, row) for row in rows.tolist()]
    torch.testing.assert_close(total(energy, rows), torch.tensor(expected), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("bits", [20, 24, 27])
def test_sequences_have_numbers_of_their_own(bits):
    """All sequences of up to 3 of 20 symbols: hardly any two fall into the same bucket."""
    buckets = 2**bits
    rows = torch.tensor(list(itertools.product(range(4, 24), repeat=3)))
    found = ngrams.ngrams(rows, 3, PADDING, bits)
    distinct = {int(b) for order in found for b in order[:, -1]}
    assert len(distinct) >= 20 + 400 + 8000 - 100  # by chance 35 fall together
    assert max(distinct) < buckets and min(distinct) >= 0
    assert max(distinct) > 0.99 * buckets and min(distinct) < 0.01 * buckets


def test_what_comes_before_the_continuation_counts_for_nothing_but_context():
    energy, rows = table(3, (5, 0)), windows(rows=1, each=1)[0]
    other = rows.clone()
    other[:, :3] = 40  # further back than a sequence of 3 reaches from position 5
    assert torch.equal(total(energy, rows), total(energy, other))
    other[:, 4] = 41
    assert not torch.equal(total(energy, rows), total(energy, other))


@pytest.mark.parametrize("given", [(0, 0), (3, 0), (0, 3)])
def test_padding_counts_for_nothing(given):
    energy, short = table(3, given), windows(length=8)[0]
    padded = torch.cat([short, short.new_full((4, 3), PADDING)], dim=1)
    torch.testing.assert_close(total(energy, padded), total(energy, short))


@pytest.mark.parametrize("given", [(0, 0), (5, 0), (0, 6)])
def test_the_change_when_a_symbol_is_replaced(given):
    energy, window = table(3, given), windows()[0, 0]
    places = torch.tensor([0, 3, 4, 5, 9, 10])
    changes = dict(zip(places.tolist(), energy.changes(window, 60, places)))
    for t in changes:
        edited = window.repeat(60, 1)
        edited[:, t] = torch.arange(60)
        edited[PADDING] = window  # padding would end the window
        expected = total(energy, edited) - total(energy, window[None])
        some = torch.arange(60) != PADDING
        torch.testing.assert_close(changes[t][some], expected[some], atol=1e-3, rtol=1e-4)


def test_it_stays_in_the_weights():
    manifest = {"options": {"prefix_length": [7]}}
    task = SimpleNamespace(state=SimpleNamespace(state_dict={"negatives": [manifest]}))
    trained, loaded = build("energy_ngram", task=task), build("energy_ngram")
    assert trained.ngrams.given.tolist() == [7, 0] and loaded.ngrams.given.tolist() == [0, 0]
    loaded.load_state_dict(trained.state_dict())
    assert torch.equal(loaded(windows()), trained(windows()))


@pytest.mark.parametrize("arch, longest", [("energy_ngram", 0), ("energy_roberta", -1)])
def test_too_short(arch, longest):
    with pytest.raises(UserError, match=f"--ngrams: {longest} is below"):
        build(arch, ngrams=longest)


@pytest.mark.parametrize("bits", [0, 29])
def test_too_few_numbers_or_too_many(bits):
    with pytest.raises(UserError, match=f"--ngram-bits: {bits} is not between 1 and 28"):
        build("energy_ngram", ngram_bits=bits)


def test_training_finds_the_distribution_of_an_enumerated_world():
    """Text of three symbols in which a symbol depends on the one before it; the language model
    draws each alone. At its optimum P_LM exp(-E) is the text's distribution, and Z is 1."""
    generator = torch.Generator().manual_seed(1)
    follows = torch.rand(5, 5, generator=generator).softmax(0).log_softmax(1) * 3
    follows = follows.log_softmax(1)
    base = torch.rand(5, generator=generator).log_softmax(0)
    world = torch.tensor(list(itertools.product(range(5), repeat=3)))
    truth = base[world[:, 0]] + sum(follows[world[:, i], world[:, i + 1]] for i in (0, 1))
    log_p = base[world].sum(1)

    energy = NgramTable(2, PADDING)
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.002)
    for _ in range(400):  # the loss over all texts, weighted by their probabilities: no sampling
        energies = total(energy, world + 4)
        loss = conditional_nce(energies, energies[:, None])  # of pairs (x, x): both parts of it
        real, generated = (
            torch.nn.functional.softplus(energies),
            torch.nn.functional.softplus(-energies),
        )
        torch.testing.assert_close(loss, real + generated)
        optimizer.zero_grad()
        (truth.exp() * real + log_p.exp() * generated).sum().backward()
        optimizer.step()
    joint = log_p - total(energy, world + 4).detach()
    assert (truth - log_p).abs().max() > 0.3, "nothing to learn"
    torch.testing.assert_close(joint, truth, atol=0.02, rtol=0)
    assert float(joint.exp().sum()) == pytest.approx(1.0, abs=0.01)
