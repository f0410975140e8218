"""Windows of stores, their order, and what scorers learn that they share."""

import numpy as np
import pytest
import torch

from fairseq_ebm.detection.stores import batches, chosen, score_windows
from fairseq_ebm.errors import UserError
from fairseq_ebm.negatives.store import NegativesSubset
from tests.stores import random_store


def first_own_token(texts, before, after):
    """A score that shows where a window's own part begins and ends, and with which tokens."""
    own = texts[:, :, before : texts.size(2) - after].double()
    return {"own": own[:, :, 0] + own[:, :, -1] / 1000}


@pytest.mark.parametrize("right_to_left", [False, True])
def test_every_window_gets_its_own_score(tmp_path, right_to_left):
    neg = random_store(tmp_path / "neg", count=150, negatives=2, right_to_left=right_to_left)
    subset = NegativesSubset(neg, "valid")
    found = score_windows(batches(subset, chosen(subset, None, 1)), [first_own_token])["own"]
    own = slice(0, 8) if right_to_left else slice(8, 16)
    for i, example in enumerate(subset[i] for i in range(150)):
        assert found.real[i] == pytest.approx(example.real[own][0] + example.real[own][-1] / 1000)
        theirs = example.negatives[:, own]
        assert found.generated[i] == pytest.approx(theirs[:, 0] + theirs[:, -1] / 1000)
    assert (found.shared == 8).all()


class Mixed:
    """A subset whose windows share 4 and 8 tokens alternately."""

    def __init__(self, subset):
        self.subset, self.manifest = subset, subset.manifest

    def __getitem__(self, i):
        return self.subset[i]._replace(prefix_length=4 + 4 * (i % 2))


def test_windows_of_many_prefix_lengths_come_back_in_order(tmp_path):
    subset = Mixed(NegativesSubset(random_store(tmp_path / "neg", count=100), "valid"))
    found = score_windows(batches(subset, range(100)), [first_own_token])["own"]
    assert found.shared.tolist() == [4, 8] * 50
    for i in range(100):
        example = subset[i]
        assert int(found.real[i]) == example.real[example.prefix_length]


def test_some_windows_at_random(tmp_path):
    subset = NegativesSubset(random_store(tmp_path / "neg", count=100), "valid")
    members = chosen(subset, 10, 1)
    assert len(set(members)) == 10 and members == sorted(members) == chosen(subset, 10, 1)
    assert members != chosen(subset, 10, 2)


def test_a_score_that_is_not_finite(tmp_path):
    subset = NegativesSubset(random_store(tmp_path / "neg", count=3), "valid")

    def infinite(texts, before, after):
        values = torch.zeros(texts.shape[:2], dtype=torch.float64)
        values[1, 1] = np.inf
        return {"energy": values}

    with pytest.raises(UserError, match="energy: not finite for window 1"):
        score_windows(batches(subset, range(3)), [infinite])
