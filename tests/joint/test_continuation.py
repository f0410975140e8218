"""Draws of a real language model and a real energy, held to the enumerated joint distribution."""

import math

import pytest
import torch

from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.errors import UserError
from fairseq_ebm.joint.continuation import GenerationOptions, continue_prompt
from fairseq_ebm.joint.model import Joint
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.numerics.drawing import Truncation
from tests.evaluation.worlds import PAD, joint, random_energy
from tests.lm import models
from tests.toy_world import chi_square_p

PROMPT = torch.tensor([5, 7])
SYMBOLS = len(models.dictionary())


def streams(number, seed=1):
    return lambda purpose: WindowStream(seed, "test", number, purpose)


def truncated_world(energy, truncation):
    model = models.build("pre-norm")
    return Joint(model, Sampler(model, truncation), energy)


def exact(world, length=2):
    """log P_LM and energies of every continuation of the prompt: (texts, log_lm, energies)."""
    symbols = torch.tensor([s for s in range(SYMBOLS) if s != PAD])
    tails = torch.cartesian_prod(*[symbols] * length).view(-1, length)
    texts = torch.cat([PROMPT.expand(len(tails), -1), tails], dim=1)
    log_lm = world.token_log_probs(texts, len(PROMPT)).sum(dim=1)
    return tails, log_lm, world.energies(texts.unsqueeze(0), len(PROMPT))[0]


def index_of(tails):
    return {tuple(row): i for i, row in enumerate(tails.tolist())}


def drawn(world, tails, count, **options):
    """Counts of each continuation, and what was told of each prompt."""
    where, options = index_of(tails), GenerationOptions(length=tails.size(1), **options)
    counts, told = torch.zeros(len(tails)), []
    for number in range(count):
        result = continue_prompt(world, PROMPT, options, streams(number))
        told.append(result)
        for draw in result.draws:
            counts[where[tuple(draw.tokens.tolist())]] += 1
    return counts, told


@pytest.mark.parametrize("rule", ["snis", "metropolis"])
def test_draws_from_large_pools_are_those_of_the_joint_model(rule):
    world = joint(random_energy())
    tails, log_lm, energies = exact(world)
    counts, told = drawn(world, tails, 1200, joint_samples=128, rule=rule)
    assert chi_square_p(counts, torch.softmax(log_lm - energies, 0)) > 0.001
    assert chi_square_p(counts, torch.softmax(log_lm, 0)) < 1e-6
    assert ("acceptance" in told[0].figures[0]) == (rule == "metropolis")


def total_variation(counts, probabilities):
    return float((counts / counts.sum() - probabilities).abs().sum() / 2)


def test_more_proposals_come_nearer():
    world = joint(random_energy())
    tails, log_lm, energies = exact(world, length=1)
    target = torch.softmax(log_lm - energies, 0)
    found = [
        total_variation(drawn(world, tails, 1200, joint_samples=n)[0], target) for n in (1, 3, 40)
    ]
    assert found[0] > found[1] > found[2]


def test_rejection_draws_what_its_threshold_says():
    world = joint(random_energy())
    tails, log_lm, energies = exact(world)
    for beta in (0.5, 4.0):
        options = {"joint_samples": 100, "rule": "rejection", "beta": beta}
        counts, told = drawn(world, tails, 800, **options)
        target = torch.softmax(log_lm + (-energies).clamp(max=math.log(beta)), 0)
        assert chi_square_p(counts, target) > 0.001
        joint_model = torch.softmax(log_lm - energies, 0)
        true = float((joint_model - target).abs().sum() / 2)
        estimates = [result.figures[0]["total_variation"] for result in told]
        assert sum(estimates) / len(estimates) == pytest.approx(true, abs=0.02)


def top_3(world, context, symbol):
    """log q of a symbol among the three likeliest."""
    logs, symbols = world.next_symbols(context)
    likeliest = torch.topk(logs, 3)
    where = symbols[likeliest.indices] == symbol
    return float(torch.log_softmax(likeliest.values, 0)[where]) if where.any() else -math.inf


def test_top_k_aims_at_the_truncated_model_times_the_energy():
    world = truncated_world(random_energy(), Truncation(top_k=3))
    tails, _, energies = exact(world)
    log_q = torch.tensor(
        [
            top_3(world, PROMPT, first) + top_3(world, torch.cat([PROMPT, first.view(1)]), second)
            for first, second in tails
        ]
    )
    assert torch.exp(log_q).sum() == pytest.approx(1, abs=1e-6)
    assert int((log_q > -math.inf).sum()) == 9
    counts, _ = drawn(world, tails, 800, joint_samples=128)
    assert chi_square_p(counts, torch.softmax(log_q - energies, 0)) > 0.001


def test_an_energy_that_prefers_a_token_makes_it_more_frequent():
    favourite = 9

    def energy(windows, shared):
        return -2.0 * (windows[..., 2:] == favourite).sum(dim=-1).float()

    tails, _, _ = exact(joint(energy))
    where = (tails == favourite).any(dim=1)
    liked, _ = drawn(joint(energy), tails, 300, joint_samples=64)
    plain, _ = drawn(joint(lambda w, s: torch.zeros(w.shape[:2])), tails, 300, joint_samples=64)
    assert liked[where].sum() > 1.5 * plain[where].sum()


def test_what_is_told_of_a_draw():
    world = joint(random_energy())
    options = GenerationOptions(joint_samples=50, num_draws=3, length=3)
    result = continue_prompt(world, PROMPT, options, streams(1))
    (pool,) = result.pools
    assert pool.tokens.shape == (50, 3) and len(result.draws) == 3
    weights = torch.exp(-pool.energies)
    for draw in result.draws:
        text = torch.cat([PROMPT, draw.tokens]).view(1, -1)
        i = int((pool.tokens == draw.tokens).all(dim=1).nonzero()[0])
        assert draw.energy == pytest.approx(float(world.energies(text.unsqueeze(0), 2)), abs=1e-5)
        log_p = float(world.token_log_probs(text, 2).sum())
        assert draw.log_p == pytest.approx(log_p, abs=1e-4)
        assert draw.share == pytest.approx(float(weights[i] / weights.sum()))
        assert draw.ess == pytest.approx(float(weights.sum() ** 2 / (weights**2).sum()))
    assert all(second >= 0 for second in result.seconds) and result.seconds[0] > 0


def test_chunks_see_the_last_window():
    seen = []

    def energy(windows, shared):
        seen.append((windows.clone(), shared))
        return torch.zeros(windows.shape[:2])

    options = GenerationOptions(joint_samples=4, num_draws=2, window=6, length=7, chunk_length=3)
    result = continue_prompt(joint(energy), PROMPT, options, streams(1))
    assert [len(draw.tokens) for draw in result.draws] == [7, 7]
    assert [(w.size(2), shared) for w, shared in seen] == [(5, 2)] + [(6, 3)] * 2 + [(6, 5)] * 2
    text = torch.cat([PROMPT, result.draws[1].tokens])
    assert torch.equal(seen[2][0][0, 0, :3], text[2:5])  # the second draw's own text
    assert torch.equal(seen[4][0][0, 0, :5], text[3:8])


def test_the_last_chunk_may_be_shorter_and_prompts_empty_or_long():
    world = joint(random_energy())
    empty = torch.zeros(0, dtype=torch.long)
    result = continue_prompt(world, empty, GenerationOptions(8, window=5), streams(1))
    assert len(result.draws[0].tokens) == 5
    long = torch.full((40,), 6)
    options = GenerationOptions(8, window=10, length=4)
    same = [continue_prompt(world, p, options, streams(1)).draws[0] for p in (long, long[:6])]
    assert torch.equal(same[0].tokens, same[1].tokens)  # the models see 6 tokens of both
    with pytest.raises(UserError, match="length: needed, since the prompt of 40"):
        continue_prompt(world, long, GenerationOptions(8, window=10), streams(1))


def test_without_an_energy_the_first_proposals_are_the_draws():
    options = GenerationOptions(30, num_draws=3, window=6, length=4, chunk_length=2)
    plain, judged = (
        continue_prompt(joint(energy), PROMPT, options, streams(1))
        for energy in (None, random_energy())
    )
    first, *later = (pool.tokens for pool in plain.pools)
    assert torch.equal(first, judged.pools[0].tokens[:3])
    texts = torch.cat([first, torch.cat(later)], dim=1)
    assert torch.equal(torch.stack([draw.tokens for draw in plain.draws]), texts)
    for draw in plain.draws:
        text = torch.cat([PROMPT, draw.tokens]).view(1, -1)
        assert draw.log_p == pytest.approx(float(joint(None).token_log_probs(text, 2).sum()))
        assert (draw.energy, draw.ess) == (0, 1) and draw.share == pytest.approx(1 / 3)


def test_plain_draws_are_those_of_the_language_model():
    world = joint(None)
    tails, log_lm, energies = exact(world)
    assert not energies.any()
    counts, _ = drawn(world, tails, 400, num_draws=3, joint_samples=3)
    assert chi_square_p(counts, torch.softmax(log_lm, 0)) > 0.001


def test_infinite_energies():
    def some(windows, shared):
        return torch.where(windows[..., 2] == 6, 0.0, math.inf)

    options = GenerationOptions(joint_samples=200, num_draws=20, length=1)
    for rule, more in (("snis", {}), ("metropolis", {}), ("rejection", {"beta": 1.0})):
        options = GenerationOptions(200, num_draws=5, length=1, rule=rule, **more)
        result = continue_prompt(joint(some), PROMPT, options, streams(1))
        assert all(draw.tokens.tolist() == [6] for draw in result.draws)

    def every(windows, shared):
        return torch.full(windows.shape[:2], math.inf)

    with pytest.raises(UserError, match="all 200 proposals have an infinite energy"):
        continue_prompt(joint(every), PROMPT, GenerationOptions(200, length=1), streams(1))
    for bad in (math.nan, -math.inf):
        world = joint(lambda w, s, bad=bad: torch.full(w.shape[:2], bad))
        with pytest.raises(UserError, match="NaN or -inf"):
            continue_prompt(world, PROMPT, GenerationOptions(4, length=1), streams(1))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"num_draws": 9, "joint_samples": 8}, "num_draws: 9 draws from 8 proposals"),
        ({"joint_samples": 0}, "joint_samples: 0 is below 1"),
        ({"rule": "best"}, "rule: 'best' is none of snis, metropolis, rejection"),
        ({"rule": "rejection"}, "beta: needed"),
        ({"beta": 2.0}, "beta: needed by rule rejection, and by no other"),
        ({"rule": "rejection", "beta": 0.0}, "beta: must be above 0"),
    ],
)
def test_options(options, words):
    with pytest.raises(UserError, match=words):
        GenerationOptions(**options)


def test_a_continuation_longer_than_the_window_needs_chunks():
    with pytest.raises(UserError, match="length: 20 tokens leave no room"):
        GenerationOptions(window=10, length=20).chunks(3)
    with pytest.raises(UserError, match="length: 10 tokens leave no room"):
        GenerationOptions(window=10, length=10).chunks(3)
    with pytest.raises(UserError, match="chunk_length: 10 tokens leave no room"):
        GenerationOptions(window=10, length=20, chunk_length=10).chunks(0)
    assert GenerationOptions(window=10, length=10).chunks(0) == [10]
    assert GenerationOptions(window=10, length=20, chunk_length=8).chunks(3) == [8, 8, 4]
