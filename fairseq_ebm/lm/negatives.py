"""Fills a store of negatives by sampling from a base language model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch

from ..data.arrays import BLOCK, ArraysWriter, num_blocks
from ..data.store import layout, mark_whole, read_manifest, subset_folder
from ..data.streams import WindowStream
from ..data.windows import Windows
from .checkpoint import BaseLM
from .sampler import Sampler
from .scoring import token_log_probs

# (blocks, label, how many are done, how many there are)
Progress = Callable[[Iterable[int], str, int, int], Iterable[int]]


def shard_of_blocks(blocks: int, shard: int, shards: int) -> range:
    """Whole blocks, so that a block is computed in the same way however the work is divided."""
    return range(blocks * shard // shards, blocks * (shard + 1) // shards)


def fill(
    neg: Path,
    lm: BaseLM,
    sampler: Sampler,
    windows: Windows,
    num_negatives: int,
    shard: Tuple[int, int],
    progress: Progress,
) -> int:
    """Writes a shard of a subset, or goes on with it; returns the number of its windows."""
    index, shards = shard
    if shards > 1 and windows.subset in read_manifest(neg).subsets:
        return 0  # merged already
    folder = subset_folder(neg, windows.subset, index, shards)
    blocks = shard_of_blocks(num_blocks(len(windows)), index, shards)
    rows = range(blocks.start * BLOCK, min(blocks.stop * BLOCK, len(windows)))
    generated = windows.options.window - min(windows.options.prefix_lengths)
    arrays = layout(windows.options.window, generated, num_negatives, len(lm.dictionary))
    with ArraysWriter(folder, arrays, len(rows)) as writer:
        todo = range(blocks.start + writer.done, blocks.stop)
        for block in progress(todo, windows.subset, writer.done, len(blocks)):
            members = range(block * BLOCK, min((block + 1) * BLOCK, len(windows)))
            writer.write(_block(lm, sampler, windows, list(members), num_negatives))
    if shards == 1:
        mark_whole(neg, windows.subset, len(windows))
    return len(rows)


def _block(
    lm: BaseLM, sampler: Sampler, windows: Windows, members: List[int], num_negatives: int
) -> Dict[str, Any]:
    """The rows of some windows, sampled together with those of the same prefix length."""
    options = windows.options
    tokens = np.stack([windows.tokens(i) for i in members]).astype(np.int64)
    prefix_lengths = np.array([windows.prefix_length(i) for i in members])
    generated = options.window - min(options.prefix_lengths)
    shape = (len(members), num_negatives)
    result: Dict[str, Any] = {
        "number": windows.numbers[members],
        "window": tokens,
        "prefix_length": prefix_lengths,
        "negatives": np.full((*shape, generated), sampler.pad),
        "real_log_p": np.empty(len(members)),
        "log_p": np.empty(shape),
        "log_q": np.empty(shape),
    }
    order = -1 if lm.right_to_left else 1  # in which the model reads
    for prefix_length in sorted(set(prefix_lengths.tolist())):
        group = np.flatnonzero(prefix_lengths == prefix_length)
        read = torch.from_numpy(np.ascontiguousarray(tokens[group][:, ::order]))
        streams = [
            WindowStream(options.seed, windows.subset, int(windows.numbers[members[i]]))
            for i in group
        ]
        length = options.window - prefix_length
        samples = sampler.sample(read[:, :prefix_length], num_negatives, length, streams)
        scores = token_log_probs(lm.model, read, prefix_length).double().sum(dim=1)
        result["negatives"][group, :, :length] = samples.tokens.numpy()[:, :, ::order]
        result["real_log_p"][group] = scores.numpy()
        result["log_p"][group] = samples.log_p.numpy()
        result["log_q"][group] = samples.log_q.numpy()
    return result
