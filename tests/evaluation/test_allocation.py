"""Samples where they are needed: the requested error and unbiased estimates."""

import math

import numpy as np
import pytest
import torch

from fairseq_ebm.evaluation import allocation
from fairseq_ebm.evaluation.allocation import PrefixPools, pools_within, spread
from fairseq_ebm.joint.model import Streams
from fairseq_ebm.numerics.partition import log_partition
from tests.evaluation.test_uncertainty import world


class TableOfTexts:
    """A joint model whose texts after each prefix are drawn from a table: window w is row w."""

    def __init__(self, deviations, texts=64):
        parts = [world(d, 1, seed=i, texts=texts) for i, d in enumerate(deviations)]
        probabilities, self.energies, self.log_z = (torch.cat(part) for part in zip(*parts))
        self.cdf = probabilities.cumsum(dim=1)
        self.drawn = 0

    def pool(self, prefixes, samples, length, streams):
        uniforms = torch.stack([s.uniforms(samples) for s in streams.of(prefixes.size(1))])
        rows = prefixes[:, 0]
        texts = torch.searchsorted(self.cdf[rows], uniforms).clamp(max=self.cdf.size(1) - 1)
        self.drawn += texts.numel()
        return self.energies[rows].gather(1, texts)


def prefixes_of(joint, seed=1):
    windows = torch.arange(len(joint.log_z)).unsqueeze(1)
    streams = Streams(seed, "test", list(range(len(windows))))
    return PrefixPools(joint, windows, 8, streams)


DEVIATIONS = np.linspace(0.1, 1.5, 32)


def test_the_error_is_the_one_asked_for():
    joint, variance = TableOfTexts(DEVIATIONS), 32 * 0.03**2
    pools = pools_within(prefixes_of(joint), variance, 100_000)
    errors = [float(log_partition(pool).error) for pool in pools]
    assert 0.6 * variance < sum(e**2 for e in errors) <= variance
    assert len(pools[-1]) > 5 * len(pools[0])
    # With a fixed number per window, the same error would take this many in all:
    spreads = [spread(pool) for pool in pools]
    uniform = sum(s**2 for s in spreads) * 32 / sum(e**2 for e in errors)
    assert joint.drawn < 0.8 * uniform  # pilots included: docs/benchmarks.md has 22% saved


def test_stopping_by_a_pilot_does_not_bend_the_estimate():
    """The mean over 400 runs of log Z, summed over windows, is the enumerated one, and the errors
    that the runs report are those that they have."""
    joint, variance = TableOfTexts(DEVIATIONS), 32 * 0.05**2
    truth, off, reported = joint.log_z.numpy(), [], []
    for seed in range(400):
        bounds = [log_partition(p) for p in pools_within(prefixes_of(joint, seed), variance, 9999)]
        off.append(sum(float(b.jackknife) for b in bounds) - truth.sum())
        reported.append(sum(float(b.error) ** 2 for b in bounds))
    off = np.array(off)
    standard_error = off.std() / math.sqrt(len(off))
    assert abs(off.mean()) < 3 * standard_error < 0.05
    assert np.mean(reported) == pytest.approx(off.var(), rel=0.25)  # 400 runs know it to 7%
    covered = np.abs(off) < 1.96 * np.sqrt(reported)
    assert 0.92 <= covered.mean() <= 0.98


@pytest.mark.parametrize("windows", [1, 3])
def test_few_windows_keep_to_their_pilots(windows):
    """If a single window decided when to stop, the estimate would be biased."""
    joint = TableOfTexts([2.5] * windows)
    truth, off = joint.log_z.numpy(), []
    for seed in range(3000 // windows):
        pools = pools_within(prefixes_of(joint, seed), windows * 0.15**2, 9999)
        off.append(sum(float(log_partition(p).jackknife) for p in pools) - truth.sum())
    assert abs(np.mean(off)) < 3 * np.std(off) / math.sqrt(len(off)) < 0.03


def test_no_more_than_the_most():
    joint = TableOfTexts(DEVIATIONS)
    pools = pools_within(prefixes_of(joint), 1e-9, 200)
    assert max(map(len, pools)) == 200
    assert joint.drawn <= 32 * (200 + allocation.PILOT)


def test_a_window_out_of_reach_drives_no_others():
    joint = TableOfTexts([0.05] * 31 + [3.0])
    heavy = spread(prefixes_of(joint).pools([0] * 31 + [2000])[31]) ** 2 / 2000
    sizes = [len(pool) for pool in pools_within(prefixes_of(joint), 1.1 * heavy, 2000)]
    assert sizes[31] == 2000 and sum(sizes[:31]) < 31 * 200


def test_alike_windows_need_few_pilots():
    alike, apart = TableOfTexts([0.8] * 32), TableOfTexts(DEVIATIONS)
    for name in ("energies", "cdf"):
        setattr(alike, name, getattr(alike, name)[:1].expand(32, -1).contiguous())
    for joint, pilots in ((alike, 8), (apart, 32)):
        spreads = allocation.spreads_of(prefixes_of(joint))
        assert joint.drawn == pilots * allocation.PILOT and len(spreads) == 32
    few = TableOfTexts([0.8] * 5)
    allocation.spreads_of(prefixes_of(few))
    assert few.drawn == 5 * allocation.PILOT


def test_groups():
    assert allocation.groups(70) == [range(0, 32), range(32, 70)]
    assert allocation.groups(64) == [range(0, 32), range(32, 64)]
    assert allocation.groups(5) == [range(0, 5)] and allocation.groups(33) == [range(0, 33)]


def test_a_constant_energy_needs_next_to_nothing():
    pools = pools_within(prefixes_of(TableOfTexts([0.0] * 5)), 1e-4, 1000)
    assert {len(pool) for pool in pools} == {2 * allocation.STEP}


def test_allocation():
    sizes = allocation.allocation([1.0, 3.0], 0.01, 10_000)
    assert sizes == [400, 1200] and pytest.approx(0.01) == 1 / 400 + 9 / 1200
    capped = allocation.allocation([1.0, 3.0], 0.02, 500)  # 9 / 500 alone is too much
    assert capped[1] == 500 and capped[0] == 64
    partly = allocation.allocation([1.0, 1.0, 3.0], 0.04, 300)
    assert partly[2] == 300 and sum(s**2 / n for s, n in zip((1, 1, 3), partly)) <= 0.04
    assert spread(torch.tensor([0.0] + [math.inf] * 63)) == allocation.LARGEST * 8


def test_windows_that_are_alike_get_alike_sizes():
    alike = allocation.shrunk([1.0, 1.1, 0.9, 1.05])
    assert alike == pytest.approx([1.0125] * 4)
    apart = allocation.shrunk([0.1, 0.1, 3.0, 3.0])
    assert apart == pytest.approx([0.1, 0.1, 3.0, 3.0], abs=0.06)
    assert allocation.shrunk([2.0]) == [2.0]


def test_windows_of_one_size_are_drawn_together_and_keep_their_own_numbers():
    joint = TableOfTexts(DEVIATIONS[:4])
    together = prefixes_of(joint).pools([48, 0, 48, 16])
    assert [len(pool) for pool in together] == [48, 0, 48, 16]
    alone = prefixes_of(joint).pools([0, 0, 64, 0])[2]
    assert torch.equal(together[2], alone[:48])
