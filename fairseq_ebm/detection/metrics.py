"""How well scores tell generated text from real, with thresholds that other text has set.

Generated is the positive class: a text is called generated where its score is above the threshold;
on it, one half.
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from ..numerics.discrimination import credit_above, credit_first

RESAMPLES = 1000
BARS = 50  # of a histogram
Interval = Optional[Tuple[float, float]]
FALSE_POSITIVES = {"fpr_5": 0.05, "fpr_1": 0.01}


@dataclass(frozen=True)
class Scores:
    """Real texts (N,); generated ones (N, K), in the place of each real one, or (M,), unrelated.

    ``shared``: tokens that a real text has in common with those in its place (N,), if so.
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
    """None: nothing was there to set it. Infinite: any lower one is too low; none is generated."""

    accuracy: Optional[float] = None
    fpr_5: Optional[float] = None
    fpr_1: Optional[float] = None
    natural: Optional[float] = None  # where the score itself draws the line


def thresholds(valid: Scores, natural: Optional[float] = None) -> Thresholds:
    """The best balanced accuracy, and the most found at so many false alarms, on ``valid``.

    Each lies halfway between the lowest score above it and the next one, so that no text of
    ``valid`` is on it.
    """
    false, true, at = roc_curve(*valid.labels(), drop_intermediate=False)
    at[:-1] = (at[:-1] + at[1:]) / 2  # the first is infinite, the last is never the best
    few = {name: float(at[false <= most][-1]) for name, most in FALSE_POSITIVES.items()}
    return Thresholds(float(at[np.argmax(true - false)]), natural=natural, **few)


def row(test: Scores, given: Thresholds, seed: int) -> Dict[str, Any]:
    """What fairseq-ebm-discriminate tells of a scorer and an input, with 95% intervals."""
    generated = test.generated.reshape(len(test.generated), -1)
    counts = _resampled(len(test.real), len(generated), test.paired, seed)
    found: Dict[str, Any] = {}

    def tell(name: str, value: Optional[float], resampled: Callable[[], np.ndarray]) -> None:
        found[name] = value
        found[f"{name}_ci95"] = None if value is None else _interval(resampled())

    for name, at in (("accuracy", given.accuracy), ("accuracy_natural", given.natural)):
        alarms, hits = _called(test.real[:, None], generated, at)

        def balanced(alarms: Any = alarms, hits: Any = hits) -> np.ndarray:
            return (1 - _means(alarms, counts[0]) + _means(hits, counts[1])) / 2

        tell(name, _mean_accuracy(alarms, hits), balanced)
        found[f"{name.replace('accuracy_n', 'n')}_threshold"] = _finite(at)
    first = _credits(test)
    tell("p_at_1", _mean(first), lambda: _means(first, counts[0]))
    area = _area(test.real, generated)
    auroc = float(roc_auc_score(*test.labels()))
    tell("auroc", auroc, lambda: np.array([area(a, b) for a, b in zip(*counts)]))
    for name in FALSE_POSITIVES:
        alarms, hits = _called(test.real[:, None], generated, getattr(given, name))
        tell(f"tpr_at_{name}", _mean(hits), lambda hits=hits: _means(hits, counts[1]))
        found[f"{name}_threshold"] = _finite(getattr(given, name))
        found[f"{name}_on_test"] = _mean(alarms)
    found["n_real"], found["n_fake"] = len(test.real), int(generated.size)
    return found


def row_by_prefix_length(test: Scores, given: Thresholds, seed: int) -> Dict[str, Any]:
    """``row`` of all, and of those texts that share as many tokens; ``differences`` of pairs."""
    assert test.shared is not None
    parts = [
        {"prefix_length": int(length), **row(test.where(test.shared == length), given, seed)}
        for length in np.unique(test.shared)
    ]
    whole = {**row(test, given, seed), "by_prefix_length": parts}
    return {**whole, "differences": differences(test.real, test.generated)}


def differences(real: np.ndarray, generated: np.ndarray) -> Dict[str, Any]:
    """Scores of generated texts (N, K) less those of the real one in their place (N,): a histogram
    whose bars are as wide as each other, one of them beginning at 0."""
    apart = generated - real[:, None]
    width = max(float(apart.max() - apart.min()), 1e-6) / BARS
    places = np.floor(apart / width).astype(int).ravel()
    first = places.min()
    edges = width * np.arange(first, places.max() + 2)
    return {
        "mean": float(apart.mean()),
        "standard_deviation": float(apart.std()),
        "above_zero": float((apart > 0).mean()),
        "edges": edges.tolist(),
        "counts": np.bincount(places - first).tolist(),
    }


def _called(
    real: np.ndarray, generated: np.ndarray, threshold: Optional[float]
) -> Tuple[Optional[np.ndarray], Optional[np.ndarray]]:
    """Shares of each row that are called generated: (N, 1), (M, K) -> (N,), (M,)"""
    if threshold is None:
        return None, None
    called = (credit_above(torch.from_numpy(scores), threshold) for scores in (real, generated))
    alarms, hits = (credits.mean(dim=1).numpy() for credits in called)
    return alarms, hits


def _mean_accuracy(alarms: Optional[np.ndarray], hits: Optional[np.ndarray]) -> Optional[float]:
    """Balanced: both kinds of text count half."""
    return None if alarms is None or hits is None else float(1 - alarms.mean() + hits.mean()) / 2


def _credits(test: Scores) -> Optional[np.ndarray]:
    if not test.paired:
        return None
    return credit_first(torch.from_numpy(test.real), torch.from_numpy(test.generated)).numpy()


def _mean(values: Optional[np.ndarray]) -> Optional[float]:
    return None if values is None else float(values.mean())


def _finite(threshold: Optional[float]) -> Optional[float]:
    """JSON knows no infinity."""
    return threshold if threshold is not None and np.isfinite(threshold) else None


def _resampled(real: int, generated: int, paired: bool, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """How often each counts in each resample (R, N), (R, M); pairs stay together."""
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
    values, place = np.unique(np.concatenate([real, generated.ravel()]), return_inverse=True)
    of_real, of_generated = place[: len(real)], place[len(real) :]

    def area(count_real: np.ndarray, count_generated: np.ndarray) -> float:
        each = np.repeat(count_generated, generated.shape[1])
        a = np.bincount(of_real, count_real, len(values))
        b = np.bincount(of_generated, each, len(values))
        return float(b @ (a.cumsum() - a / 2) / (a.sum() * b.sum()))

    return area
