"""How often do texts repeat n-grams? (Figure 2, right, of the first paper.)"""

from collections.abc import Sequence
from typing import Dict, List, Union

from ..numerics.text import unique_ngram_share
from .pools import Generation

SIZES = (2, 3, 4)


def unique_ngrams(
    generations: Sequence[Generation], sizes: Sequence[int] = SIZES
) -> List[Dict[str, Union[int, float]]]:
    """Share of distinct n-grams among all of each kind of text; the kinds are equally many."""
    kinds = ("real", "base", "joint")
    return [
        {
            "n": n,
            **{
                kind: unique_ngram_share([getattr(each, kind).tokens for each in generations], n)
                for kind in kinds
            },
        }
        for n in sizes
    ]
