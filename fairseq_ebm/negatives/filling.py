"""Fills a store of negatives by sampling from a language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import List, NamedTuple, Protocol, Tuple

import numpy as np
import torch
from fairseq.data import Dictionary

from ..data.streams import WindowStream
from ..data.windows import Windows
from ..lm.checkpoint import LoadedLM
from ..lm.sampler import Sampler
from ..lm.scoring import token_log_probs
from ..options import Record
from ..progress import progress
from .arrays import BLOCK, ArraysWriter, num_blocks
from .store import layout, mark_whole, read_manifest, subset_folder


class AuthoredContinuations(NamedTuple):
    """K in place of each of W real ones: tokens (W, K, L) in the order of the text, their log P_LM
    and log q (W, K), log P_LM of the real ones (W,); NaN where there is no such thing."""

    tokens: np.ndarray
    log_p: np.ndarray
    log_q: np.ndarray
    real_log_p: np.ndarray


class Author(Protocol):
    """Writes negatives, in the indices of ``dictionary``."""

    @property
    def dictionary(self) -> Dictionary: ...

    def continuations(
        self, windows: np.ndarray, prefix_length: int, num: int, streams: Sequence[WindowStream]
    ) -> AuthoredContinuations:
        """``num`` for each of ``windows`` (W, T), in the order of the text. Those of window i
        follow from it and ``streams[i]``."""


@dataclass(frozen=True)
class BaseLMAuthor:
    """The base language model, which reads a window from the end if it is a right-to-left one."""

    lm: LoadedLM
    sampler: Sampler

    @property
    def dictionary(self) -> Dictionary:
        return self.lm.dictionary

    def continuations(
        self, windows: np.ndarray, prefix_length: int, num: int, streams: Sequence[WindowStream]
    ) -> AuthoredContinuations:
        order = -1 if self.lm.right_to_left else 1
        read = torch.from_numpy(np.ascontiguousarray(windows[:, ::order]))
        length = read.size(1) - prefix_length
        samples = self.sampler.sample(read[:, :prefix_length], num, length, streams)
        scores = token_log_probs(self.lm.model, read, prefix_length).double().sum(dim=1)
        tokens, log_p, log_q = (values.numpy() for values in samples)
        return AuthoredContinuations(tokens[:, :, ::order], log_p, log_q, scores.numpy())


def fill(
    neg: Path, author: Author, windows: Windows, num_negatives: int, shard: Tuple[int, int]
) -> int:
    """Writes a shard of a subset, or resumes it; returns the number of its windows."""
    index, shards = shard
    if shards > 1 and windows.subset in read_manifest(neg).subsets:
        return 0  # merged already
    folder = subset_folder(neg, windows.subset, index, shards)
    # Whole blocks, so that a block is computed in the same way however the work is divided.
    blocks = range(*(num_blocks(len(windows)) * part // shards for part in (index, index + 1)))
    rows = range(blocks.start * BLOCK, min(blocks.stop * BLOCK, len(windows)))
    generated = windows.options.window - min(windows.options.prefix_lengths)
    arrays = layout(windows.options.window, generated, num_negatives, len(author.dictionary))
    with ArraysWriter(folder, arrays, len(rows)) as writer:
        todo = range(blocks.start + writer.done, blocks.stop)
        label = f"{windows.subset} (blocks of {BLOCK})"
        for block in progress(todo, label, len(blocks), writer.done):
            members = range(block * BLOCK, min((block + 1) * BLOCK, len(windows)))
            writer.write(_block(author, windows, list(members), num_negatives))
    if shards == 1:
        mark_whole(neg, windows.subset, len(windows))
    return len(rows)


def _block(author: Author, windows: Windows, members: List[int], num_negatives: int) -> Record:
    """The rows of some windows, continued together with those of the same prefix length."""
    options = windows.options
    tokens = np.stack([windows.tokens(i) for i in members]).astype(np.int64)
    prefix_lengths = np.array([windows.prefix_length(i) for i in members])
    generated = options.window - min(options.prefix_lengths)
    shape = (len(members), num_negatives)
    numbers = windows.numbers[members]
    result: Record = {
        "number": numbers,
        "window": tokens,
        "prefix_length": prefix_lengths,
        "negatives": np.full((*shape, generated), author.dictionary.pad()),
        "real_log_p": np.empty(len(members)),
        "log_p": np.empty(shape),
        "log_q": np.empty(shape),
    }
    for prefix_length in sorted(set(prefix_lengths.tolist())):
        group = np.flatnonzero(prefix_lengths == prefix_length)
        streams = [WindowStream(options.seed, windows.subset, int(n)) for n in numbers[group]]
        found = author.continuations(tokens[group], prefix_length, num_negatives, streams)
        result["negatives"][group, :, : options.window - prefix_length] = found.tokens
        for name in ("real_log_p", "log_p", "log_q"):
            result[name][group] = getattr(found, name)
    return result
