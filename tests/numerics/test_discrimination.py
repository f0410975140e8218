"""Accuracy and P@1 on energies small enough to check by eye."""

import pytest
import torch

from fairseq_ebm.numerics.discrimination import balanced_accuracy, credit_first


def test_low_energy_means_real():
    assert balanced_accuracy(torch.tensor([-1.0, -2.0]), torch.tensor([0.5])) == 1.0
    assert balanced_accuracy(torch.tensor([1.0, 2.0]), torch.tensor([-0.5])) == 0.0


def test_classes_count_equally_whatever_their_size():
    real, generated = torch.tensor([-1.0]), torch.tensor([[-1.0, -1.0, -1.0, 1.0]])
    assert balanced_accuracy(real, generated) == pytest.approx((1 + 0.25) / 2)


def test_threshold_and_ties():
    real, generated = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0])
    assert balanced_accuracy(real, generated, threshold=1.0) == pytest.approx((0.75 + 0.75) / 2)
    assert balanced_accuracy(torch.zeros(3), torch.zeros(9)) == 0.5


def test_p_at_1_counts_the_lowest_energy():
    positive = torch.tensor([0.0, 0.0, 0.0, 0.0])
    negatives = torch.tensor([[1.0, 2.0], [-1.0, 2.0], [0.0, 2.0], [0.0, 0.0]])
    assert credit_first(positive, negatives).tolist() == pytest.approx([1, 0, 1 / 2, 1 / 3])


def test_p_at_1_of_an_energy_that_knows_nothing_is_chance():
    assert credit_first(torch.zeros(5), torch.zeros(5, 9)).tolist() == pytest.approx([0.1] * 5)


def test_refuses_what_has_no_accuracy():
    with pytest.raises(ValueError, match="both classes"):
        balanced_accuracy(torch.zeros(0), torch.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        balanced_accuracy(torch.tensor([float("nan")]), torch.zeros(1))
