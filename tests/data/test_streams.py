"""A window's random numbers are its own, ordered and uniform."""

import numpy as np
import torch

from fairseq_ebm.data.streams import WindowStream, philox


def test_numbers_of_numpy_are_numbers():
    """Which overflow from its version 2 on."""
    for kind in (np.int64, np.uint32):
        assert philox(kind(5), kind(7)).random() == philox(5, 7).random()


def test_numbers_come_in_order_however_they_are_taken():
    whole = WindowStream(1, "train", 7).uniforms(10, 4)
    stream = WindowStream(1, "train", 7)
    assert torch.equal(whole, torch.cat([stream.uniforms(3, 4), stream.uniforms(7, 4)]))


def test_every_part_of_the_key_counts():
    keys = [(1, "train", 7), (2, "train", 7), (1, "valid", 7), (1, "train", 8)]
    firsts = [WindowStream(*key).uniforms(5).tolist() for key in keys]
    firsts.append(WindowStream(1, "train", 7, "prefix").uniforms(5).tolist())
    assert len({tuple(first) for first in firsts}) == 5


def test_neighbouring_windows_are_independent_and_uniform():
    firsts = torch.stack([WindowStream(1, "test", i).uniforms(4) for i in range(20_000)])
    assert firsts.min() >= 0 and firsts.max() < 1
    assert (firsts.mean(0) - 0.5).abs().max() < 0.01
    assert (
        torch.corrcoef(torch.cat([firsts[1:], firsts[:-1]], 1).T).fill_diagonal_(0).abs().max()
        < 0.03
    )


def test_known_values():
    """Stores of earlier versions must be reproducible byte for byte."""
    values = WindowStream(1, "train", 0).uniforms(3).tolist()
    assert [round(v, 9) for v in values] == [0.936867747, 0.074071069, 0.635633328]
