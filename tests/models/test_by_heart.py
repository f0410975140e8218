"""What all kinds of numbers known by heart share."""

from types import SimpleNamespace

import pytest
import torch

from fairseq_ebm.models.by_heart import PER_STEP, ByHeart, given_by
from tests.models.energies import build, windows

PADDING = 1
KINDS = {"ngrams": 3, "counts": 3, "repeats": 4}
PREFIX_OF_5 = {"options": {"prefix_length": [5]}}


class OfSymbols(ByHeart):
    """e(x, i) is the number of the symbol."""

    def terms(self, windows, first, real=None):
        return windows[:, :, first:] / PER_STEP


@pytest.mark.parametrize("given", [(0, 0), (3, 0), (0, 3)])
def test_the_sum_over_the_continuation_alone(given):
    rows, (first, last) = windows(length=8), given
    part = OfSymbols(PADDING, given)
    expected = rows[:, :, first : 8 - last].sum(dim=2).float()
    torch.testing.assert_close(part(rows), expected)
    padded = torch.cat([rows, rows.new_full((3, 4, 3), PADDING)], dim=2)
    torch.testing.assert_close(part(padded), expected)


@pytest.mark.parametrize(
    "options, given",
    [
        ([], (0, 0)),
        ([{"prefix_length": [32]}], (32, 0)),
        ([{"prefix_length": [120, 140]}, {"prefix_length": [130]}], (120, 0)),
        ([{"prefix_length": [32], "right_to_left": True}], (0, 32)),
        ([{"prefix_length": [32]}, {"prefix_length": [32], "right_to_left": True}], (0, 0)),
        ([{"prefix_length": [32]}, {}], (0, 0)),
    ],
)
def test_where_continuations_begin_is_told_by_the_stores(options, given):
    assert given_by([{"options": each} for each in options]) == given


@pytest.mark.parametrize("length", [1, 3, 5, 6])
@pytest.mark.parametrize("part", KINDS)
def test_a_text_shorter_than_its_context_has_no_continuation(part, length):
    task = SimpleNamespace(state=SimpleNamespace(state_dict={"negatives": [PREFIX_OF_5]}))
    energy = build("energy_ngram", task=task, **KINDS)
    batch = windows(length=11, shared=0)[:, :, :length]
    assert bool((getattr(energy, part)(batch) == 0).all()) == (length <= 5)


@pytest.mark.parametrize(
    "arch", ["energy_transformer_lm", "energy_roberta", "energy_bilstm", "energy_ngram"]
)
def test_every_family_can_have_them_added(arch):
    batch, both = windows(), build(arch, **KINDS)
    both.counts.count(batch[:, 1].flatten().numpy())
    added = [part(batch) for part in both.by_heart]
    assert len(added) == 3 and all(each.std() > 0.1 for each in added)
    computed = both.of_rows(batch, 5)
    torch.testing.assert_close(both(batch, 5), computed + sum(added))
    torch.testing.assert_close(both.energy(batch.flatten(0, 1)).view(3, 4), both(batch, 5))
