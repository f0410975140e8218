"""Statistics of token sequences: how much of a text repeats itself."""

from collections.abc import Iterator, Sequence
from typing import Tuple


def _ngrams(tokens: Sequence[int], n: int) -> Iterator[Tuple[int, ...]]:
    if n < 1:
        raise ValueError(f"n-grams need n of at least 1, not {n}")
    return (tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def unique_ngram_share(sequences: Sequence[Sequence[int]], n: int) -> float:
    """Distinct n-grams of all sequences together / the number of all their n-grams.

    Falls as the collection grows, so compare collections of the same size. NaN if no sequence has n
    tokens.
    """
    total = 0
    distinct = set()
    for tokens in sequences:
        for ngram in _ngrams(tokens, n):
            total += 1
            distinct.add(ngram)
    return len(distinct) / total if total else float("nan")
