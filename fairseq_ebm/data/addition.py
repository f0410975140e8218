"""The corpus ``addition``: sums whose true probabilities are known exactly."""

import random
from typing import List

NUM_SUMS = 100_000


def sums(digits: int, seed: int) -> List[str]:
    """``NUM_SUMS`` documents, for 2 digits such as "0 7 + 9 5 = 1 0 2", with spaces in between.

    Both terms are uniform over all numbers of ``digits`` digits, with leading zeros, and the result
    has one digit more: every document has 3 * digits + 3 symbols. The terms carry
    2 * digits * log(10) nats, the result none.
    """
    draw, limit = random.Random(seed).randrange, 10**digits
    terms = ((draw(limit), draw(limit)) for _ in range(NUM_SUMS))
    return [" ".join(f"{a:0{digits}}+{b:0{digits}}={a + b:0{digits + 1}}") for a, b in terms]
