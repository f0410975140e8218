"""Samples follow the model exactly, and their log-probabilities are those of stock fairseq."""

import itertools

import pytest
import torch
from fairseq.sequence_scorer import SequenceScorer
from torch.utils._python_dispatch import TorchDispatchMode

from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.errors import UserError
from fairseq_ebm.lm import layers
from fairseq_ebm.lm.incremental import IncrementalStepper
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.lm.scoring import token_log_probs
from fairseq_ebm.numerics.drawing import Truncation
from fairseq_ebm.numerics.truncation import truncated_log_probs
from tests.lm.models import KINDS, build, dictionary
from tests.toy_world import chi_square_p

PAD, EOS = 1, 2
GENERIC = {"lstm", "conv", "normformer"}
PREFIXES = torch.tensor([[5, 2, 7, 11], [4, 4, 9, 3], [6, 10, 2, 2]])


def streams(count=3, seed=1):
    return [WindowStream(seed, "test", i) for i in range(count)]


def whole(prefixes, samples):
    """(W * n, P + L): prefix and continuation of every sample."""
    repeated = prefixes.repeat_interleave(samples.tokens.size(1), dim=0)
    return torch.cat([repeated, samples.tokens.flatten(0, 1)], dim=1)


def stock_scores(model, windows, prefix_length):
    """Summed log-probability of the continuations by fairseq's own SequenceScorer."""
    inputs = torch.cat([windows.new_full((len(windows), 1), EOS), windows[:, :-1]], dim=1)
    sample = {"net_input": {"src_tokens": inputs, "src_lengths": None}, "target": windows}
    hypotheses = SequenceScorer(dictionary()).generate([model], sample)
    return torch.stack([h[0]["positional_scores"][prefix_length:].sum() for h in hypotheses])


@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_equal_scoring_and_stock_fairseq(kind):
    model = build(kind)
    samples = Sampler(model).sample(PREFIXES, 20, 6, streams())
    windows = whole(PREFIXES, samples)
    scored = token_log_probs(model, windows, 4).sum(dim=1).view(3, 20)
    stock = stock_scores(model, windows, 4).view(3, 20)
    assert (samples.log_p - scored).abs().max() < 1e-4
    assert (samples.log_p - stock).abs().max() < 1e-4
    assert samples.log_p.std() > 0.2  # the model is not trivial
    assert not (samples.tokens == PAD).any()


class NeverAsks(TorchDispatchMode):
    """Nothing asks a tensor for a number or for how many, for which a GPU would be waited."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        aten = torch.ops.aten
        assert function not in (aten._local_scalar_dense.default, aten.nonzero.default)
        if function in (aten.index.Tensor, aten.index_put_.default):
            assert all(each is None or each.dtype != torch.bool for each in args[1])
        return function(*args, **(kwargs or {}))


LIMITS = {"top_k": 3, "top_p": 0.9, "min_p": 0.1, "temperature": 0.7}


@pytest.mark.parametrize("limits", [{}, {"top_p": 0.9}, LIMITS])
@pytest.mark.parametrize("kind", ["tied", "adaptive softmax"])
def test_a_chunk_never_waits_for_the_device(kind, limits):
    sampler = Sampler(build(kind), Truncation(**limits))
    inputs = torch.cat([torch.full((3, 1), EOS), PREFIXES], dim=1)
    uniforms = torch.rand(3, 20, 6, dtype=torch.float64)
    with torch.no_grad():
        prefix = sampler.stepper.prefill(inputs)
        begun, again = (sampler.stepper.begin(prefix, 20, 5) for _ in range(2))
        with NeverAsks():
            drawn = sampler.drawn(prefix, begun, uniforms)
        assert torch.equal(drawn.tokens, sampler.drawn(prefix, again, uniforms).tokens)
        for ask in (
            lambda: bool(drawn.log_p.isnan().any()),
            lambda: drawn.log_p[drawn.log_p > 0],
            drawn.log_p.nonzero,
        ):
            with NeverAsks(), pytest.raises(AssertionError):
                ask()


@pytest.mark.parametrize(
    ("scale", "limits", "words"),
    [
        (1e30, {}, "NaN or infinite; a higher precision"),
        (1e30, {"temperature": 0.5}, "NaN or infinite; a higher precision"),
        (1.0, {"temperature": 1e-39}, "temperature 1e-39 leaves nothing to draw from"),
    ],
)
def test_logits_that_are_none_are_told(scale, limits, words):
    model = build("tied")
    model.decoder.embed_tokens.weight.data.mul_(scale)
    with pytest.raises(UserError, match=words):
        Sampler(model, Truncation(**limits)).sample(PREFIXES, 20, 6, streams())


def test_which_models_take_the_fast_path():
    for kind in KINDS:
        fast = layers.is_supported(build(kind).decoder)
        assert fast == (kind not in GENERIC), kind


@pytest.mark.parametrize("kind", ["post-norm", "learned positions", "adaptive input"])
def test_shared_prefixes_equal_fairseqs_incremental_state(kind):
    model = build(kind)
    fast, slow = Sampler(model), Sampler(model)
    slow.stepper = IncrementalStepper(model)
    ours = fast.sample(PREFIXES, 50, 6, streams())
    theirs = slow.sample(PREFIXES, 50, 6, streams())
    assert torch.equal(ours.tokens, theirs.tokens)
    assert (ours.log_p - theirs.log_p).abs().max() < 1e-4


def exact_distribution(model, prefix, truncation):
    """q of all continuations (V, V) of two tokens, from the model's full forward pass."""
    size = len(dictionary())

    def log_q(context):
        logits = model(torch.cat([torch.tensor([[EOS]]), context], dim=1))[0][:, -1:]
        log_p = model.get_normalized_probs((logits, None), log_probs=True)[:, 0].double()
        log_p[:, PAD] = -torch.inf
        return truncated_log_probs(
            log_p, truncation.top_k, truncation.top_p, truncation.temperature, truncation.min_p
        )

    with torch.no_grad():
        first = log_q(prefix.view(1, -1))[0]
        tokens = [t for t in range(size) if t != PAD]
        result = torch.full((size, size), -torch.inf, dtype=torch.float64)
        for token in tokens:
            context = torch.cat([prefix, torch.tensor([token])]).view(1, -1)
            result[token] = first[token] + log_q(context)[0]
    return result


SETTINGS = {
    "plain": Truncation(),
    "top-k": Truncation(top_k=3),
    "top-p": Truncation(top_p=0.8),
    "temperature": Truncation(temperature=0.6),
    "all": Truncation(top_k=6, top_p=0.9, temperature=1.4),
    "min-p": Truncation(temperature=1.2, min_p=0.1),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_frequencies_are_the_models(kind, setting):
    model, truncation = build(kind), SETTINGS[setting]
    count = 8_000
    samples = Sampler(model, truncation).sample(PREFIXES[:1], count, 2, streams(1, seed=5))
    exact = exact_distribution(model, PREFIXES[0], truncation)
    first, second = samples.tokens[0].T
    observed = torch.bincount(first * len(exact) + second, minlength=exact.numel())
    assert chi_square_p(observed, exact.flatten().exp()) > 0.001
    assert (samples.log_q[0] - exact[first, second]).abs().max() < 1e-4
    scored = token_log_probs(model, whole(PREFIXES[:1], samples), 4).sum(dim=1)
    assert (samples.log_p[0] - scored).abs().max() < 1e-4


def test_every_continuation_of_the_toy_vocabulary_is_reached():
    """With enough samples nothing that the model allows is missing, not even end-of-sentence."""
    model = build("post-norm")
    samples = Sampler(model).sample(PREFIXES[:1], 20_000, 1, streams(1))
    assert set(samples.tokens.unique().tolist()) == set(range(12)) - {PAD}


@pytest.mark.parametrize("kind", ["post-norm", "lstm"])
def test_how_the_work_is_split_changes_nothing(kind):
    model = build(kind)
    plain = Sampler(model).sample(PREFIXES, 30, 5, streams())
    small = Sampler(model, memory=1e-4)
    assert small.rows_at_once(5) < Sampler(model).rows_at_once(5)
    for sampler in (*(Sampler(model, rows=rows) for rows in (1, 7, 64)), small):
        split = sampler.sample(PREFIXES, 30, 5, streams())
        assert torch.equal(plain.tokens, split.tokens)
        assert torch.allclose(plain.log_p, split.log_p, atol=1e-5)
    alone = Sampler(model).sample(PREFIXES[1:2], 30, 5, streams()[1:2])
    assert torch.equal(plain.tokens[1:2], alone.tokens)
    fewer = Sampler(model).sample(PREFIXES, 10, 5, streams())
    assert torch.equal(plain.tokens[:, :10], fewer.tokens)


def test_continuations_differ_between_windows_and_seeds():
    model = build("post-norm")
    same = PREFIXES[:1].expand(2, -1)
    one = Sampler(model).sample(same, 20, 5, streams(2))
    assert not torch.equal(one.tokens[0], one.tokens[1])
    other = Sampler(model).sample(same, 20, 5, streams(2, seed=2))
    assert not torch.equal(one.tokens, other.tokens)


def test_bfloat16_is_a_model_of_its_own():
    model = build("pre-norm").bfloat16()
    samples = Sampler(model).sample(PREFIXES, 20, 6, streams())
    scored = token_log_probs(model, whole(PREFIXES, samples), 4).sum(dim=1).view(3, 20)
    assert (samples.log_p - scored).abs().max() < 0.5  # its own rounding, over six tokens
    assert samples.log_p.dtype == torch.float64


def test_no_prefix_and_single_tokens():
    model = build("post-norm")
    nothing = torch.zeros(2, 0, dtype=torch.long)
    samples = Sampler(model).sample(nothing, 3, 4, streams(2))
    scored = token_log_probs(model, whole(nothing, samples), 0).sum(dim=1).view(2, 3)
    assert (samples.log_p - scored).abs().max() < 1e-4


def test_all_continuations_have_less_than_the_whole_probability():
    """Σ P_LM over all continuations without padding is 1 minus what padding takes."""
    model = build("pre-norm")
    tokens = [t for t in range(12) if t != PAD]
    pairs = torch.tensor(list(itertools.product(tokens, repeat=2)))
    windows = torch.cat([PREFIXES[:1].expand(len(pairs), -1), pairs], dim=1)
    total = token_log_probs(model, windows, 4).double().sum(dim=1).exp().sum()
    assert 0.5 < float(total) < 1.0
