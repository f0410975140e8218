import math

import pytest
import torch

from fairseq_ebm.joint.next_token import Candidate, candidates, probabilities
from tests.evaluation.worlds import PAD, SYMBOLS, joint, log_z, random_energy

PREFIX = torch.tensor([5, 7])
EVERY = SYMBOLS - 1


def truth(world, length):
    """P_joint of every symbol but padding after the prefix, by enumeration: {symbol: P}"""
    log_lm, symbols = world.next_symbols(PREFIX)
    texts = [torch.cat([PREFIX, s.view(1), torch.full((length,), 4)]) for s in symbols]
    if length:
        log_zs = torch.tensor([log_z(world, text, 3) for text in texts])
    else:
        log_zs = torch.cat([-world.energies(text.view(1, 1, -1), 0)[0] for text in texts])
    return dict(zip(symbols.tolist(), torch.softmax(log_lm + log_zs, 0).tolist()))


@pytest.mark.parametrize("length", [2, 0])
def test_probabilities_are_the_enumerated_ones(length):
    world = joint(random_energy())
    found = list(candidates(world, PREFIX, EVERY, 3 + length, samples=3000, seed=1))
    rows, exact = probabilities(found), truth(world, length)
    assert {row.candidate.symbol for row in rows} == set(exact) and PAD not in exact
    assert [row.joint for row in rows] == sorted((row.joint for row in rows), reverse=True)
    log_lm, symbols = world.next_symbols(PREFIX)
    lm = dict(zip(symbols.tolist(), log_lm.exp().tolist()))
    covered = 0
    for row in rows:
        symbol = row.candidate.symbol
        assert row.lm == pytest.approx(lm[symbol], rel=1e-5)
        assert row.joint == pytest.approx(exact[symbol], rel=0.1 if length else 1e-5)
        assert row.joint_lower <= row.joint + 1e-9 and row.joint <= row.joint_upper + 1e-9
        low, high = row.sampling_ci95
        assert low - 1e-9 <= row.joint <= high + 1e-9
        covered += low - 1e-6 <= exact[symbol] <= high + 1e-6
    assert covered >= len(rows) - 1  # of 14 that may miss it, each with a chance of 5%
    assert sum(row.joint for row in rows) == pytest.approx(1)
    assert max(abs(row.joint / row.lm - 1) for row in rows) > 0.2  # the energy matters


def test_few_candidates_are_the_likeliest_and_normalised_among_themselves():
    world = joint(random_energy())
    some = list(candidates(world, PREFIX, 3, 4, samples=50, seed=1))
    log_lm, symbols = world.next_symbols(PREFIX)
    best = symbols[log_lm.argsort(descending=True)][:3].tolist()
    assert [each.symbol for each in some] == best
    rows = probabilities(some)
    assert sum(row.joint for row in rows) == pytest.approx(1)
    assert sum(row.lm for row in rows) == pytest.approx(1)
    every = list(candidates(world, PREFIX, EVERY, 4, samples=50, seed=1))
    assert every[1].log_z == pytest.approx(some[1].log_z, abs=1e-5)  # numbers of its own


def test_no_energy_leaves_the_language_model():
    world = joint(lambda windows, shared: torch.zeros(windows.shape[:2]))
    for row in probabilities(list(candidates(world, PREFIX, 5, 6, samples=10, seed=1))):
        assert row.joint == pytest.approx(row.lm) == pytest.approx(row.joint_upper)
        assert row.candidate.ess == pytest.approx(10) and math.isfinite(row.candidate.log_lm)


def test_intervals_cover_the_truth():
    """Of 1,000 repetitions, with independent log Z of known errors."""
    generator = torch.Generator().manual_seed(1)
    log_lm = torch.log_softmax(torch.randn(6, generator=generator, dtype=torch.float64), 0)
    log_z = torch.randn(6, generator=generator, dtype=torch.float64)
    errors = torch.linspace(0.0, 0.2, 6, dtype=torch.float64)
    truth = torch.softmax(log_lm + log_z, 0)
    covered = torch.zeros(6)
    for _ in range(1000):
        drawn = log_z + errors * torch.randn(6, generator=generator, dtype=torch.float64)
        rows = probabilities(
            [
                Candidate(i, float(log_lm[i]), float(z), float(z), float(z), float(errors[i]), None)
                for i, z in enumerate(drawn)
            ]
        )
        for row in rows:
            low, high = row.sampling_ci95
            covered[row.candidate.symbol] += low < float(truth[row.candidate.symbol]) < high
    assert (covered >= 930).all() and (covered <= 970).all(), covered
