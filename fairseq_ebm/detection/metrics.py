"""How well scores tell generated text from real, with thresholds set on other text.

Generated is the positive class: a text is called generated if its score is above the threshold; a
score equal to it counts one half.
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from ..numerics.discrimination import credit_above, credit_first

RESAMPLES = 1000
BARS = 50  # in a histogram
Interval = Optional[Tuple[float, float]]
FALSE_POSITIVES = {"fpr_5": 0.05, "fpr_1": 0.01}


@dataclass(frozen=True)
class Scores:
    """Of real texts (N,) and generated ones: K in place of each real one (N, K), or unrelated (M,).

    ``shared`` (N,): how many tokens a real text has in common with those in its place, if paired.
    """

    real: np.ndarray
    generated: np.ndarray
    shared: Optional[np.ndarray] = None

    @property
    def paired(self) -> bool:
        return self.generated.ndim == 2

    def labels(self) -> Tuple[np.ndarray, np.ndarray]:
        """(is generated, score), as scikit-learn wants them."""
        generated = self.generated.ravel()
        is_generated = np.concatenate([np.zeros(len(self.real)), np.ones(len(generated))])
        return is_generated, np.concatenate([self.real, generated])

    def where(self, keep: np.ndarray) -> "Scores":
        assert self.shared is not None
        return Scores(self.real[keep], self.generated[keep], self.shared[keep])


@dataclass(frozen=True)
class Thresholds:
    """None: there was nothing to set it on. Infinite: any finite one is too low; no text is called
    generated."""

    accuracy: Optional[float] = None
    fpr_5: Optional[float] = None
    fpr_1: Optional[float] = None
    natural: Optional[float] = None  # of the score itself


def thresholds(valid: Scores, natural: Optional[float] = None) -> Thresholds:
    """On ``valid``: for the best balanced accuracy, and the most hits at limited false alarms.

    Each is halfway between the lowest score above it and the next lower one, so that no text of
    ``valid`` is on it.
    """
    false, true, cuts = roc_curve(*valid.labels(), drop_intermediate=False)
    cuts[:-1] = (cuts[:-1] + cuts[1:]) / 2  # the first is infinite, the last is never the best
    by_rate = {name: float(cuts[false <= most][-1]) for name, most in FALSE_POSITIVES.items()}
    return Thresholds(float(cuts[np.argmax(true - false)]), natural=natural, **by_rate)


def row(test: Scores, given: Thresholds, seed: int) -> Dict[str, Any]:
    """What fairseq-ebm discriminate reports about a scorer and an input, with 95% intervals."""
    generated = test.generated.reshape(len(test.generated), -1)
    counts = _resampled(len(test.real), len(generated), test.paired, seed)
    record: Dict[str, Any] = {}

    def add(name: str, value: Optional[float], resampled: Callable[[], np.ndarray]) -> None:
        record[name] = value
        record[f"{name}_ci95"] = None if value is None else _interval(resampled())

    for name, cut in (("accuracy", given.accuracy), ("accuracy_natural", given.natural)):
        alarms, hits = _called(test.real[:, None], generated, cut)

        def balanced(alarms: Any = alarms, hits: Any = hits) -> np.ndarray:
            return (1 - _means(alarms, counts[0]) + _means(hits, counts[1])) / 2

        add(name, _mean_accuracy(alarms, hits), balanced)
        record[f"{name.replace('accuracy_n', 'n')}_threshold"] = _finite(cut)
    first = _credits(test)
    add("p_at_1", _mean(first), lambda: _means(first, counts[0]))
    area = _area(test.real, generated)
    auroc = float(roc_auc_score(*test.labels()))
    add("auroc", auroc, lambda: np.array([area(a, b) for a, b in zip(*counts)]))
    for name in FALSE_POSITIVES:
        alarms, hits = _called(test.real[:, None], generated, getattr(given, name))
        add(f"tpr_at_{name}", _mean(hits), lambda hits=hits: _means(hits, counts[1]))
        record[f"{name}_threshold"] = _finite(getattr(given, name))
        record[f"{name}_on_test"] = _mean(alarms)
    record["n_real"], record["n_fake"] = len(test.real), int(generated.size)
    return record


def row_by_prefix_length(test: Scores, given: Thresholds, seed: int) -> Dict[str, Any]:
    """``row`` of all texts and by the number of tokens they share; ``differences`` of pairs."""
    assert test.shared is not None
    parts = [
        {"prefix_length": int(length), **row(test.where(test.shared == length), given, seed)}
        for length in np.unique(test.shared)
    ]
    whole = {**row(test, given, seed), "by_prefix_length": parts}
    return {**whole, "differences": differences(test.real, test.generated)}


def differences(real: np.ndarray, generated: np.ndarray) -> Dict[str, Any]:
    """Scores of generated texts (N, K) minus that of the real one in their place (N,): a histogram
    with bars of equal width, one of them beginning at 0."""
    apart = generated - real[:, None]
    width = max(float(apart.max() - apart.min()), 1e-6) / BARS
    bars = np.floor(apart / width).astype(int).ravel()
    first = bars.min()
    edges = width * np.arange(first, bars.max() + 2)
    return {
        "mean": float(apart.mean()),
        "standard_deviation": float(apart.std()),
        "above_zero": float((apart > 0).mean()),
        "edges": edges.tolist(),
        "counts": np.bincount(bars - first).tolist(),
    }


def _called(
    real: np.ndarray, generated: np.ndarray, threshold: Optional[float]
) -> Tuple[Optional[np.ndarray], Optional[np.ndarray]]:
    """The share of each row that is called generated: (N, 1), (M, K) -> (N,), (M,)"""
    if threshold is None:
        return None, None
    called = (credit_above(torch.from_numpy(scores), threshold) for scores in (real, generated))
    alarms, hits = (credits.mean(dim=1).numpy() for credits in called)
    return alarms, hits


def _mean_accuracy(alarms: Optional[np.ndarray], hits: Optional[np.ndarray]) -> Optional[float]:
    """Balanced: both kinds of text count one half."""
    return None if alarms is None or hits is None else float(1 - alarms.mean() + hits.mean()) / 2


def _credits(test: Scores) -> Optional[np.ndarray]:
    if not test.paired:
        return None
    return credit_first(torch.from_numpy(test.real), torch.from_numpy(test.generated)).numpy()


def _mean(values: Optional[np.ndarray]) -> Optional[float]:
    return None if values is None else float(values.mean())


def _finite(threshold: Optional[float]) -> Optional[float]:
    """None if infinite, which JSON has no number for."""
    return threshold if threshold is not None and np.isfinite(threshold) else None


def _resampled(real: int, generated: int, paired: bool, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """How often each text counts in each resample: (R, N), (R, M); pairs stay together."""
    generator = np.random.default_rng(seed)

    def draw(size: int) -> np.ndarray:
        picks = (generator.integers(0, size, size) for _ in range(RESAMPLES))
        return np.stack([np.bincount(pick, minlength=size).astype(np.uint16) for pick in picks])

    first = draw(real)
    return first, first if paired else draw(generated)


def _means(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return counts @ values / len(values)


def _interval(resampled: np.ndarray) -> Tuple[float, float]:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(low), float(high)


def _area(real: np.ndarray, generated: np.ndarray) -> Callable[[np.ndarray, np.ndarray], float]:
    """The area under the ROC curve as a function of how often each real text (N,) and each row of
    generated ones (M, K) counts. Scores are sorted once."""
    values, ranks = np.unique(np.concatenate([real, generated.ravel()]), return_inverse=True)
    real_ranks, generated_ranks = ranks[: len(real)], ranks[len(real) :]

    def area(real_counts: np.ndarray, generated_counts: np.ndarray) -> float:
        repeated = np.repeat(generated_counts, generated.shape[1])
        a = np.bincount(real_ranks, real_counts, len(values))
        b = np.bincount(generated_ranks, repeated, len(values))
        return float(b @ (a.cumsum() - a / 2) / (a.sum() * b.sum()))

    return area
