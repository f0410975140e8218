"""95% intervals of what follows from sums of log Z, whose errors are relative ones."""

import math
from typing import Optional, Tuple

Z95 = 1.959964  # standard errors: 95% of a normal distribution lie within
ANYTHING = 100.0  # nats


def interval(perplexity: float, error: float) -> Optional[Tuple[float, float]]:
    """95%, for the windows at hand, where samples are drawn anew; None if that may be anything."""
    if not error < ANYTHING:
        return None
    factor = math.exp(Z95 * error)
    return perplexity / factor, perplexity * factor


def gain_interval(gain: float, error: float) -> Optional[Tuple[float, float]]:
    """Of 1 − perplexity / another's; ``error``: that of the ratio."""
    between = interval(1.0 - gain, error)
    return between and (1.0 - between[1], 1.0 - between[0])
