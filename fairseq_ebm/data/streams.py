"""Random numbers determined by what they are for, whichever process, batch or shard draws them:
numpy's counter-based Philox, keyed by two numbers."""

import zlib

import numpy as np
import torch
from torch import Tensor


def philox(seed: int, stream: int = 0) -> np.random.Generator:
    """Make every generator here: from a list of large integers numpy makes floats, so that keys
    differing in their last digits would be equal."""
    # numpy's integers, which those of others may be, overflow here from version 2 on.
    key = np.array([int(seed) % 2**64, int(stream) % 2**64], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


class WindowStream:
    """The random numbers of one window: a function of (seed, subset, window, purpose).

    They are taken in order, so a smaller pool is the beginning of a larger one, and splitting a
    pool into chunks changes nothing. Drawn on the CPU, whatever the device.
    """

    def __init__(self, seed: int, subset: str, window: int, purpose: str = "sample") -> None:
        name = zlib.crc32(f"{purpose}/{subset}".encode())
        self._generator = philox(seed, (name << 32) + window % 2**32)

    def uniforms(self, *shape: int) -> Tensor:
        """The next ones, of this shape: float64 in [0, 1)."""
        return torch.from_numpy(self._generator.random(shape))
