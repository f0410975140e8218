"""Negatives from elsewhere: real and generated texts in JSON lines, cut into windows."""

from itertools import islice
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np

from ..data.json_lines import Bad, read_texts
from ..data.sources import split_of
from ..data.streams import philox
from ..data.tokenizers import Tokenizer, require_known
from ..data.windows import WindowOptions
from .arrays import BLOCK, ArraysWriter, num_blocks
from .store import layout, mark_whole

LOOKED_AT = 100  # texts at the beginning of a file, which show what form it is in

Cut = List[np.ndarray]  # windows of texts


def require_known_texts(path: Path, tokenizer: Tokenizer, flag: str, skip_bad: bool) -> None:
    """Or an error: most tokens of the first texts of a file are unknown."""
    texts = list(islice(read_texts(path, [] if skip_bad else None), LOOKED_AT))
    require_known(tokenizer.encode(texts), tokenizer.dictionary, f"{flag}: {path}")


def windows_of(
    path: Path, tokenizer: Tokenizer, options: WindowOptions, subsets: List[str], bad: Bad = None
) -> Tuple[Dict[str, Cut], int]:
    """Windows by subset, in the order of the file; and how many texts are too short for one.

    With a single subset all text goes there; with several, each text where its hash says. ``bad``
    as in ``read_texts``.
    """
    windows: Dict[str, Cut] = {subset: [] for subset in subsets}
    too_short = 0
    for text in read_texts(path, bad):
        subset = subsets[0] if len(subsets) == 1 else split_of(text)
        if subset in windows:
            (tokens,) = tokenizer.encode([text])
            starts = range(0, len(tokens) - options.window + 1, options.stride)
            too_short += not starts
            windows[subset] += [tokens[start : start + options.window] for start in starts]
    return windows, too_short


def fill(
    neg: Path, subset: str, real: Cut, fake: Cut, tokenizer: Tokenizer, options: WindowOptions
) -> None:
    """Writes a subset. Generated windows are shuffled and dealt to the real ones like cards, as
    many to each as there are for all; if there are too few, they are dealt again."""
    order = philox(options.seed).permutation(len(fake))
    each = max(1, len(fake) // len(real))
    arrays = layout(options.window, options.window, each, len(tokenizer.dictionary))
    with ArraysWriter(neg / subset, arrays, len(real)) as writer:
        for block in range(writer.done, num_blocks(len(real))):
            rows = np.arange(block * BLOCK, min((block + 1) * BLOCK, len(real)))
            dealt = order[(rows[:, None] * each + np.arange(each)) % len(fake)]
            unknown = np.full((len(rows), each), np.nan)
            content = {
                "number": rows,
                "window": np.stack([real[i] for i in rows]),
                "prefix_length": np.zeros(len(rows)),
                "negatives": np.array([[fake[j] for j in row] for row in dealt]),
                "real_log_p": unknown[:, 0],
            }
            writer.write({**content, "log_p": unknown, "log_q": unknown})
    mark_whole(neg, subset, len(real))
