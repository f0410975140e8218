"""95% intervals of what is computed from sums of log Z, whose errors are relative."""

import math
from typing import Optional, Tuple

Z95 = 1.959964  # standard errors: 95% of a normal distribution are within
ANYTHING = 100.0  # nats: with this error the value may be anything


def interval(perplexity: float, error: float) -> Optional[Tuple[float, float]]:
    """95% over new samples for the same windows; None if the value may be anything."""
    if not error < ANYTHING:
        return None
    factor = math.exp(Z95 * error)
    return perplexity / factor, perplexity * factor


def gain_interval(gain: float, error: float) -> Optional[Tuple[float, float]]:
    """Of 1 − perplexity / another's, with the ``error`` of the ratio."""
    ratio = interval(1.0 - gain, error)
    return ratio and (1.0 - ratio[1], 1.0 - ratio[0])
