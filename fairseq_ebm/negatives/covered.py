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

    Stores of the same text, by other language models or with other windows, are one."""
    by_text: Dict[Tuple[str, str], List[NegativesSubset]] = {}
    for store in stores:
        windows = NegativesSubset(store, subset)
        text = windows.manifest.source.get("text", {}).get(subset)
        by_text.setdefault(("text", text) if text else ("store", str(store)), []).append(windows)
    parts = [_laid_out(subsets, kind == "text") for (kind, _), subsets in by_text.items()]
    return np.concatenate(parts)


def _laid_out(subsets: Sequence[NegativesSubset], in_their_places: bool) -> np.ndarray:
    """A text as far as it is covered; windows of unknown places stand apart."""
    placed = [(each, _starts(each, in_their_places)) for each in subsets]
    end = max(int(starts[-1]) + each.window for each, starts in placed)
    text = np.full(end + 1, HOLE, dtype=np.int32)
    for each, starts in placed:
        for i, start in enumerate(starts):
            text[start : start + each.window] = each.real(i)
    return text


def _starts(subset: NegativesSubset, in_their_places: bool) -> np.ndarray:
    options = subset.manifest.options
    if in_their_places:
        return subset.numbers * int(options["stride"])
    if (options.get("stride") or subset.window) < subset.window:
        problem = "windows of texts from elsewhere overlap, so that words would be counted twice"
        raise UserError(f"--counts: {problem}; make them with --stride {subset.window}")
    return np.arange(len(subset)) * (subset.window + 1)
