"""Scores of texts of any length: the mean over the overlapping blocks that each is cut into."""

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..data.tokenizers import Tokenizer
from ..errors import UserError
from .scorers import Scorer

BLOCKS = 64  # scored at once

Reader = Callable[[Sequence[str]], np.ndarray]  # scores of texts that it reads as a whole


@dataclass(frozen=True)
class BlockOptions:
    """A block of ``window`` tokens every ``stride`` tokens; the last ends where the text does."""

    window: int = 160
    stride: int = 80
    skip_short: bool = False  # passes over texts shorter than a window

    def starts(self, length: int) -> List[int]:
        last = max(0, length - self.window)
        return sorted({*range(0, last + 1, self.stride), last})


@dataclass
class TextScores:
    """By name of score, one for each text that has any; the empty and the short are counted."""

    scores: Dict[str, np.ndarray] = field(default_factory=dict)
    sizes: List[int] = field(default_factory=list)  # in blocks
    empty: int = 0
    short: int = 0


def score_texts(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    scorers: Sequence[Scorer],
    options: BlockOptions,
    readers: Mapping[str, Reader] = types.MappingProxyType({}),
) -> TextScores:
    """Holds no more than ``BLOCKS`` blocks and one text at a time. ``readers``, by the names of
    their scores, read whole texts."""
    result = TextScores()
    whole: Dict[str, List[float]] = {name: [] for name in readers}

    def read(text: str) -> None:
        for name, reader in readers.items():
            whole[name] += reader([text]).tolist()

    sums: Dict[str, List[float]] = {}
    for members, blocks in _batches(texts, tokenizer, options, result, read):
        for scorer in scorers:
            for name, values in scorer(blocks.unsqueeze(1), 0, 0).items():
                total = sums.setdefault(name, [])
                total += [0.0] * (len(result.sizes) - len(total))
                for i, value in zip(members, values[:, 0].tolist()):
                    total[i] += value
    means = {name: np.array(total) / np.array(result.sizes) for name, total in sums.items()}
    result.scores = {**means, **{name: np.array(values) for name, values in whole.items()}}
    for name in result.scores:
        bad = ~np.isfinite(result.scores[name])
        if bad.any():
            raise UserError(f"{name}: not finite for {bad.sum()} texts")
    return result


def _batches(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    options: BlockOptions,
    counts: TextScores,
    read: Callable[[str], None],
) -> Iterator[Tuple[List[int], Tensor]]:
    """Numbers of texts and their blocks (B, T), counted as they come; ``read`` gets what counts."""
    members: List[int] = []
    blocks: List[np.ndarray] = []
    for text in texts:
        (tokens,) = tokenizer.encode([text])
        counts.empty += not len(tokens)
        short = len(tokens) < options.window
        counts.short += bool(len(tokens)) and short
        if not len(tokens) or (short and options.skip_short):
            continue
        read(text)
        starts = options.starts(len(tokens))
        counts.sizes.append(len(starts))
        for start in starts:
            members.append(len(counts.sizes) - 1)
            blocks.append(tokens[start : start + options.window])
            if len(blocks) == BLOCKS:
                yield members, _stack(blocks, tokenizer.dictionary.pad())
                members, blocks = [], []
    if blocks:
        yield members, _stack(blocks, tokenizer.dictionary.pad())


def _stack(blocks: Sequence[np.ndarray], padding: int) -> Tensor:
    """(B, T), padded at the end"""
    rows = [torch.from_numpy(block.astype(np.int64)) for block in blocks]
    return pad_sequence(rows, batch_first=True, padding_value=padding)
