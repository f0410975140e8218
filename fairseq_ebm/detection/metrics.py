"""How well scores tell generated text from real, with thresholds set on other text.

Generated is the positive class: a text is called generated if its score is above the threshold; a
score equal to it counts one half.
"""

from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional, Tuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from ..numerics.discrimination import credit_above, credit_first
from ..options import Record
from ..records import finite

RESAMPLES = 1000
BARS = 50  # in a histogram
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


class Figure(NamedTuple):
    """A figure, and what it is in each of the resamples (R,)."""

    value: float
    resampled: np.ndarray


def row(test: Scores, given: Thresholds, seed: int) -> Record:
    """What fairseq-ebm discriminate reports about a scorer and an input, with 95% intervals."""
    generated = test.generated.reshape(len(test.generated), -1)
    counts = _resampled(len(test.real), len(generated), test.paired, seed)

    def called(cut: float) -> Tuple[Figure, Figure]:
        """The shares of real and of generated texts that are called generated."""
        credits = (credit_above(torch.from_numpy(s), cut) for s in (test.real[:, None], generated))
        alarms, hits = (each.mean(dim=1).numpy() for each in credits)
        return _mean(alarms, counts[0]), _mean(hits, counts[1])

    record: Record = {}
    for name, cut in (("accuracy", given.accuracy), ("accuracy_natural", given.natural)):
        balanced = None
        if cut is not None:
            balanced = _balanced(*called(cut))
        record.update(_with_interval(name, balanced))
        record[f"{name.replace('accuracy_n', 'n')}_threshold"] = finite(cut)
    first = None
    if test.paired:
        credits = credit_first(torch.from_numpy(test.real), torch.from_numpy(test.generated))
        first = _mean(credits.numpy(), counts[0])
    record.update(_with_interval("p_at_1", first))
    area = _area(test.real, generated)
    areas = np.array([area(a, b) for a, b in zip(*counts)])
    auroc = Figure(float(roc_auc_score(*test.labels())), areas)
    record.update(_with_interval("auroc", auroc))
    for name in FALSE_POSITIVES:
        cut = getattr(given, name)
        shares = None if cut is None else called(cut)
        record.update(_with_interval(f"tpr_at_{name}", shares and shares[1]))
        record[f"{name}_threshold"] = finite(cut)
        record[f"{name}_on_test"] = shares and shares[0].value
    return {**record, "n_real": len(test.real), "n_fake": int(generated.size)}


def _balanced(alarms: Figure, hits: Figure) -> Figure:
    """The accuracy to which both kinds of text count one half."""
    resampled = (1 - alarms.resampled + hits.resampled) / 2
    return Figure((1 - alarms.value + hits.value) / 2, resampled)


def _mean(values: np.ndarray, counts: np.ndarray) -> Figure:
    return Figure(float(values.mean()), counts @ values / len(values))


def _with_interval(name: str, figure: Optional[Figure]) -> Record:
    if figure is None:
        return {name: None, f"{name}_ci95": None}
    low, high = np.percentile(figure.resampled, [2.5, 97.5])
    return {name: figure.value, f"{name}_ci95": (float(low), float(high))}


def row_by_prefix_length(
    test: Scores, given: Thresholds, seed: int, margin: Optional[float] = None
) -> Record:
    """``row`` of all texts and by the number of tokens they share; ``differences`` of pairs."""
    assert test.shared is not None
    parts = [
        {"prefix_length": int(length), **row(test.where(test.shared == length), given, seed)}
        for length in np.unique(test.shared)
    ]
    whole = {**row(test, given, seed), "by_prefix_length": parts}
    return {**whole, "differences": differences(test.real, test.generated, margin)}


def differences(real: np.ndarray, generated: np.ndarray, margin: Optional[float] = None) -> Record:
    """Scores of generated texts (N, K) minus that of the real one in their place (N,): a histogram
    with bars of equal width, one of them beginning at 0. Above the ``margin`` of a ranking loss,
    that loss is 0."""
    apart = generated - real[:, None]
    width = max(float(apart.max() - apart.min()), 1e-6) / BARS
    bars = np.floor(apart / width).astype(int).ravel()
    first = bars.min()
    edges = width * np.arange(first, bars.max() + 2)
    beyond = {"margin": margin, "above_margin": float((apart >= margin).mean())} if margin else {}
    return {
        "mean": float(apart.mean()),
        "standard_deviation": float(apart.std()),
        "above_zero": float((apart > 0).mean()),
        **beyond,
        "edges": edges.tolist(),
        "counts": np.bincount(bars - first).tolist(),
    }


def _resampled(real: int, generated: int, paired: bool, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """How often each text counts in each resample: (R, N), (R, M); pairs stay together."""
    generator = np.random.default_rng(seed)

    def draw(size: int) -> np.ndarray:
        picks = (generator.integers(0, size, size) for _ in range(RESAMPLES))
        return np.stack([np.bincount(pick, minlength=size).astype(np.uint16) for pick in picks])

    first = draw(real)
    return first, first if paired else draw(generated)


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
