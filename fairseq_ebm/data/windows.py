"""Windows over the running text of a prepared split: contexts and their real continuations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple, Union

import numpy as np
from fairseq.data import indexed_dataset

from ..errors import UserError
from .streams import WindowStream, philox


@dataclass(frozen=True)
class WindowOptions:
    """``prefix_lengths``: one, or several equally likely; ``max_windows``: this many, at random.

    Right to left, the prefix is what the model reads first: the end of the window.
    """

    window: int = 160
    stride: int = 40
    prefix_lengths: Tuple[int, ...] = (120,)
    max_windows: Optional[int] = None
    seed: int = 1

    def __post_init__(self) -> None:
        longest = max(self.prefix_lengths)
        if longest >= self.window:
            problem = f"{longest} must be below the window (--window {self.window})"
            raise UserError(f"--prefix-length: {problem}, or nothing is left to generate")


class Windows:
    """The windows of one split. Window ``numbers[i]`` of all starts at token number * stride, and
    its number determines its random numbers, whichever windows are chosen."""

    def __init__(self, data: Union[str, Path], subset: str, options: WindowOptions) -> None:
        self.subset, self.options = subset, options
        self._text = running_text(Path(data), subset)
        total = (len(self._text) - options.window) // options.stride + 1
        if total < 1:
            few = f"{len(self._text)} tokens, too few for one window of {options.window} (--window)"
            raise UserError(f"{Path(data) / subset}: {few}")
        self.numbers = np.arange(total)
        if options.max_windows is not None and options.max_windows < total:
            chosen = philox(options.seed).choice(total, options.max_windows, replace=False)
            self.numbers = np.sort(chosen)

    def __len__(self) -> int:
        return len(self.numbers)

    def tokens(self, i: int) -> np.ndarray:
        """(T,) in the order of the text."""
        start = self.numbers[i] * self.options.stride
        return np.asarray(self._text[start : start + self.options.window])

    def prefix_length(self, i: int) -> int:
        lengths = self.options.prefix_lengths
        stream = WindowStream(self.options.seed, self.subset, int(self.numbers[i]), "prefix")
        return lengths[int(stream.uniforms(1)[0] * len(lengths))]


def running_text(data: Path, subset: str) -> np.ndarray:
    """All tokens of a split, document after document, each with its </s>; memory-mapped."""
    if not data.is_dir():
        raise UserError(f"{data}: no such directory")
    prefix = str(data / subset)
    if not indexed_dataset.dataset_exists(prefix, "mmap"):
        raise UserError(f"{prefix}.bin: no such split; prepare it or name another")
    if indexed_dataset.infer_dataset_impl(prefix) != "mmap":
        raise UserError(f"{prefix}.bin: not in fairseq's mmap format; preprocess it again")
    dtype = indexed_dataset.MMapIndexedDataset.Index(f"{prefix}.idx").dtype
    if not Path(f"{prefix}.bin").stat().st_size:
        raise UserError(f"{prefix}.bin: empty; prepare it again")
    return np.memmap(f"{prefix}.bin", dtype=dtype, mode="r")
