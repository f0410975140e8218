"""The sampling error of what is computed from log Z, and its share of the total error.

Pools of different windows and prefixes are independent, so squared errors add up. Errors of
perplexities are relative: those of their logarithms.
"""

import math
from collections.abc import Sequence
from typing import Any, Dict, Optional

import numpy as np

from ..records import finite

MOSTLY = 0.8  # of the squared error from one source: reducing the other is not worth its cost


def of_mean(errors: np.ndarray, tokens: int) -> float:
    """Relative standard error of exp(-mean / tokens) from those (W, ...) of W log-probabilities;
    several for one window come from independent pools."""
    return float(np.sqrt(np.square(errors).sum())) / (len(errors) * tokens)


def division(log_probs: np.ndarray, errors: np.ndarray, tokens: int) -> Dict[str, Any]:
    """One relative standard error of a perplexity, divided by where it comes from.

    ``log_probs`` (W,) vary with the window and with the luck of its samples, ``errors`` (W,); so
    the variance of their mean is the total, of which the samples' part is known.
    """
    samples = of_mean(errors, tokens)
    if len(log_probs) < 2:
        return {"total": None, "windows": None, "samples": finite(samples), "raise": None}
    known = bool(np.isfinite(log_probs).all())
    total = float(log_probs.std(ddof=1)) / math.sqrt(len(log_probs)) / tokens if known else math.inf
    total = max(total, samples)  # samples is the better known of the two
    windows = math.sqrt(total**2 - samples**2) if math.isfinite(samples) else 0.0
    return {
        "total": finite(total),
        "windows": windows,
        "samples": finite(samples),
        "raise": _advice(windows**2, samples**2),
    }


def _advice(windows: float, samples: float) -> Optional[str]:
    """From squared errors: which flag to raise."""
    if windows + samples == 0:
        return None
    if not samples < MOSTLY * (windows + samples):
        return "--num-samples"
    return "--max-windows" if windows >= MOSTLY * (windows + samples) else "both"


def errors_of(log_z: Sequence[Any]) -> np.ndarray:
    """Of the bounds of W windows: (W,)."""
    return np.array([z.error for z in log_z])
