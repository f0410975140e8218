"""Random numbers that follow from what they are for, whichever process, batch or shard draws them:
numpy's counter-based Philox, with a key of two numbers."""

import zlib

import numpy as np
import torch
from torch import Tensor


def philox(seed: int, stream: int = 0) -> np.random.Generator:
    """The only way to make one here: numpy turns a list of large whole numbers into floats, and
    keys that differ in their last digits would be the same."""
    key = np.array([seed % 2**64, stream % 2**64], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


class WindowStream:
    """The random numbers of one window: a function of (seed, subset, window, purpose).

    Numbers are taken in order, so the first samples of many are the samples of few, and cutting a
    pool into chunks changes nothing. On the CPU for every device.
    """

    def __init__(self, seed: int, subset: str, window: int, purpose: str = "sample") -> None:
        name = zlib.crc32(f"{purpose}/{subset}".encode())
        self._generator = philox(seed, (name << 32) + window % 2**32)

    def uniforms(self, *shape: int) -> Tensor:
        """Float64 in [0, 1), the next so many."""
        return torch.from_numpy(self._generator.random(shape))
