"""Statistics of token sequences: how much of a text repeats itself."""

from collections.abc import Sequence


def unique_ngram_share(sequences: Sequence[Sequence[int]], n: int) -> float:
    """Distinct n-grams of all sequences together / the number of all their n-grams.

    Falls as the collection grows, so compare collections of the same size. NaN if no sequence has n
    tokens.
    """
    if n < 1:
        raise ValueError(f"n-grams need n of at least 1, not {n}")
    starts = ((tokens, i) for tokens in sequences for i in range(len(tokens) - n + 1))
    ngrams = [tuple(tokens[i : i + n]) for tokens, i in starts]
    return len(set(ngrams)) / len(ngrams) if ngrams else float("nan")
