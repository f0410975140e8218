"""Random numbers that belong to a window, whichever process, batch or shard it falls into."""

import zlib

import numpy as np
import torch
from torch import Tensor


class WindowStream:
    """The random numbers of one window: a function of (seed, subset, window, purpose).

    Numbers are taken in order, so the first samples of many are the samples of few, and cutting a
    pool into chunks changes nothing. On the CPU for every device.
    """

    def __init__(self, seed: int, subset: str, window: int, purpose: str = "sample") -> None:
        name = zlib.crc32(f"{purpose}/{subset}".encode())
        key = np.array([seed % 2**64, (name << 32) + window % 2**32], dtype=np.uint64)
        self._generator = np.random.Generator(np.random.Philox(key=key))

    def uniforms(self, *shape: int) -> Tensor:
        """Float64 in [0, 1), the next so many."""
        return torch.from_numpy(self._generator.random(shape))
