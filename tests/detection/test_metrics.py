"""Thresholds and rows against scikit-learn's own."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve

from fairseq_ebm.detection import metrics
from fairseq_ebm.detection.metrics import (
    Scores,
    Thresholds,
    differences,
    row,
    row_by_prefix_length,
    thresholds,
)


def scores(windows=300, negatives=3, apart=1.0, seed=1, ties=False):
    generator = np.random.default_rng(seed)
    real = generator.normal(size=windows)
    generated = generator.normal(apart, size=(windows, negatives))
    if ties:
        real, generated = real.round(), generated.round()
    shared = np.where(np.arange(windows) % 3, 4, 8)
    return Scores(real, generated, shared)


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_scikit_learns(ties):
    test = scores(ties=ties)
    found = row(test, Thresholds(0.5), seed=1)
    assert found["auroc"] == roc_auc_score(*test.labels())
    assert found["auroc_ci95"][0] < found["auroc"] < found["auroc_ci95"][1]
    generator = np.random.default_rng(3)
    counts = generator.integers(0, 4, len(test.real))
    weights = np.concatenate([counts, counts.repeat(3)])
    area = metrics._area(test.real, test.generated)(counts, counts)
    assert area == pytest.approx(roc_auc_score(*test.labels(), sample_weight=weights))


@pytest.mark.parametrize("ties", [False, True])
def test_the_threshold_is_the_best_on_valid(ties):
    valid = scores(ties=ties)
    labels, values = valid.labels()
    best = thresholds(valid)
    reached = balanced_accuracy_score(labels, values >= best.accuracy)
    possible = [balanced_accuracy_score(labels, values >= cut) for cut in np.unique(values)]
    assert reached == pytest.approx(max(possible))
    assert row(valid, best, 1)["accuracy"] == pytest.approx(reached)


def test_false_alarms_are_as_few_as_promised():
    valid = scores(windows=1000)
    false, true, _ = roc_curve(*valid.labels(), drop_intermediate=False)
    record = row(valid, thresholds(valid), 1)
    for name, most in (("fpr_5", 0.05), ("fpr_1", 0.01)):
        assert record[f"{name}_on_test"] <= most
        assert record[f"tpr_at_{name}"] == pytest.approx(max(true[false <= most]))


def test_no_threshold_and_one_that_nothing_reaches():
    test = scores(windows=20)
    unknown = row(test, Thresholds(), 1)
    assert unknown["accuracy"] is unknown["tpr_at_fpr_5"] is unknown["accuracy_ci95"] is None
    worst = Scores(np.array([5.0, 1.0]), np.array([[0.0], [2.0]]), np.array([1, 1]))
    out_of_reach = thresholds(worst)
    assert out_of_reach.fpr_1 == np.inf  # the highest score is a real text's
    record = row(test, out_of_reach, 1)
    assert record["tpr_at_fpr_1"] == 0.0 and record["fpr_1_threshold"] is None


def test_test_labels_set_no_threshold():
    valid, test = scores(), scores(windows=50, negatives=1, seed=2)
    swapped = Scores(test.generated[:, 0], test.real[:, None], test.shared)
    rows = [row(each, thresholds(valid), 1) for each in (test, swapped)]
    for name in ("accuracy_threshold", "fpr_5_threshold", "fpr_1_threshold"):
        assert rows[0][name] == rows[1][name]
    assert rows[0]["accuracy"] == pytest.approx(1 - rows[1]["accuracy"])


def test_by_prefix_length():
    test = scores()
    found = row_by_prefix_length(test, Thresholds(0.5), 1)
    parts = found["by_prefix_length"]
    assert [(part["prefix_length"], part["n_real"]) for part in parts] == [(4, 200), (8, 100)]
    for name in ("accuracy", "p_at_1"):
        assert (2 * parts[0][name] + parts[1][name]) / 3 == pytest.approx(found[name])


def test_differences_of_pairs():
    found = differences(np.array([0.0, 1.0]), np.array([[0.25, -0.5], [4.0, 1.0]]))
    assert (found["mean"], found["above_zero"]) == (0.6875, 0.5)  # of 0.25, -0.5, 3, 0
    assert found["standard_deviation"] == pytest.approx(np.std([0.25, -0.5, 3, 0]))
    edges, counts = np.array(found["edges"]), np.array(found["counts"])
    assert counts.sum() == 4 and len(edges) == len(counts) + 1 and (edges == 0).sum() == 1
    assert counts[edges[:-1] >= 0].sum() == 3 and edges[0] <= -0.5 and edges[-1] >= 3
    assert "margin" not in found
    ranked = differences(np.array([0.0, 1.0]), np.array([[0.25, -0.5], [4.0, 1.0]]), 0.25)
    assert (ranked["margin"], ranked["above_margin"]) == (0.25, 0.5)
    alike = differences(np.zeros(5), np.zeros((5, 2)))
    assert sum(alike["counts"]) == 10 and alike["above_zero"] == 0.0


def test_intervals_cover_the_truth():
    """Windows are resampled together with everything generated in their place."""
    truth = row(scores(windows=40_000, seed=9), Thresholds(0.5), 1)
    names = ("accuracy", "p_at_1", "auroc")
    inside = dict.fromkeys(names, 0)
    for seed in range(60):
        found = row(scores(windows=100, seed=seed), Thresholds(0.5), seed)
        for name in names:
            low, high = found[f"{name}_ci95"]
            inside[name] += low <= truth[name] <= high
    assert all(51 <= count <= 60 for count in inside.values()), inside


def test_unrelated_texts():
    generator = np.random.default_rng(1)
    texts = Scores(generator.normal(size=80), generator.normal(1, size=50))
    found = row(texts, thresholds(texts), 1)
    assert found["p_at_1"] is found["p_at_1_ci95"] is None
    assert (found["n_real"], found["n_fake"]) == (80, 50)
    assert found["auroc"] == roc_auc_score(*texts.labels())


def test_the_natural_threshold():
    test = scores()
    found = row(test, thresholds(test, natural=0.7), 1)
    assert found["natural_threshold"] == 0.7 != found["accuracy_threshold"]
    assert found["accuracy_natural"] == row(test, Thresholds(0.7), 1)["accuracy"]
    assert row(test, thresholds(test), 1)["accuracy_natural"] is None
