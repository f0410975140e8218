"""Statistics of token sequences: how much of a text repeats itself."""

from collections import Counter
from collections.abc import Sequence
from typing import List, Set, Tuple


def unique_ngram_share(sequences: Sequence[Sequence[int]], n: int) -> float:
    """Distinct n-grams of all sequences together / the number of all their n-grams.

    Falls as the collection grows, so compare collections of the same size. NaN if no sequence has n
    tokens.
    """
    ngrams = [ngram for tokens in sequences for ngram in _ngrams(tokens, n)]
    return _share(len(set(ngrams)), len(ngrams))


def shares_without_each(sequences: Sequence[Sequence[int]], n: int) -> List[float]:
    """``unique_ngram_share`` of all sequences but one, for each of them: to jackknife."""
    all_ngrams = [_ngrams(tokens, n) for tokens in sequences]
    holders = Counter(ngram for ngrams in all_ngrams for ngram in set(ngrams))
    total, distinct = sum(map(len, all_ngrams)), len(holders)
    shares = []
    for ngrams in all_ngrams:
        own: Set[Tuple[int, ...]] = {ngram for ngram in ngrams if holders[ngram] == 1}
        shares.append(_share(distinct - len(own), total - len(ngrams)))
    return shares


def _ngrams(tokens: Sequence[int], n: int) -> List[Tuple[int, ...]]:
    if n < 1:
        raise ValueError(f"n-grams need n of at least 1, not {n}")
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def _share(distinct: int, total: int) -> float:
    return distinct / total if total else float("nan")
