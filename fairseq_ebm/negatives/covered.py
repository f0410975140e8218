"""The real text that stores' windows cover."""

from collections.abc import Sequence
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np

from ..errors import UserError
from .store import NegativesSubset

HOLE = -1  # in a text: what lies beyond is another


def covered_text(stores: Sequence[Path], subset: str) -> np.ndarray:
    """Tokens (L,), each of them once, with a ``HOLE`` wherever windows leave some out.

    Stores of the same text are one: by other language models, with other windows; or, of texts from
    elsewhere, beside other generated ones."""
    by_text: Dict[str, List[Tuple[Path, NegativesSubset]]] = {}
    for store in stores:
        windows = NegativesSubset(store, subset)
        source = windows.manifest.source
        text = source.get("text", {}).get(subset) or source.get("real") or str(store)
        by_text.setdefault(str(text), []).append((store, windows))
    return np.concatenate([_laid_out(each) for each in by_text.values()])


def _laid_out(stores: Sequence[Tuple[Path, NegativesSubset]]) -> np.ndarray:
    """A text as far as it is covered; windows of unknown places stand apart."""
    placed = [(each, _starts(store, each)) for store, each in stores]
    end = max(int(starts[-1]) + each.window for each, starts in placed)
    text = np.full(end + 1, HOLE, dtype=np.int32)
    for each, starts in placed:
        for i, start in enumerate(starts):
            place, real = text[start : start + each.window], each.real(i)
            if ((place != HOLE) & (place != real)).any():
                stores_of = ", ".join(str(store) for store, _ in stores)
                problem = f"{stores_of}: of the same texts, but cut in different ways"
                raise UserError(f"--counts: {problem}; make them with the same options")
            place[:] = real
    return text


def _starts(store: Path, subset: NegativesSubset) -> np.ndarray:
    window, options = subset.window, subset.manifest.options
    if "text" in subset.manifest.source:
        return subset.numbers * int(options["stride"])
    if (options.get("stride") or window) < window:
        problem = f"{store}: windows of texts from elsewhere overlap, and would be counted twice"
        raise UserError(f"--counts: {problem}; make the store with --stride {window}")
    return subset.numbers * (window + 1)
