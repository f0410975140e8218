"""The product of two models: equation 6, its gradients, and what it leaves unchanged."""

import pytest
import torch
from fairseq.models import FairseqLanguageModel

from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.lm import product
from fairseq_ebm.lm.incremental import IncrementalStepper
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.lm.scoring import token_log_probs
from tests.lm.models import KINDS, build

WINDOWS = torch.tensor([[5, 2, 7, 11, 4, 4], [9, 3, 6, 10, 2, 2], [4, 4, 9, 3, 8, 5]])
INPUTS = torch.cat([torch.full((3, 1), 2), WINDOWS[:, :-1]], dim=1)
RESIDUAL = "learned positions"


def product_of(base, residual):
    return FairseqLanguageModel(product.ProductDecoder(base.decoder, residual.decoder)).eval()


def pair(kind, residual=RESIDUAL):
    return build(kind), build(residual, seed=2)


def log_probs(model, inputs):
    """(B, T, V) float32"""
    return model.get_normalized_probs(model(inputs), log_probs=True)


def slowly(base, residual, inputs):
    """log P of equation 6 from the probabilities of both, (B, T, V) float64."""
    rows = []
    for tokens in inputs:
        for t in range(1, len(tokens) + 1):
            seen = tokens[:t].view(1, -1)
            p, q = (log_probs(m, seen)[0, -1].double().exp() for m in (base, residual))
            rows.append((p * q / sum(float(a * b) for a, b in zip(p, q))).log())
    return torch.stack(rows).view(*inputs.shape, -1)


@pytest.mark.parametrize("residual", [RESIDUAL, "normformer"])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_it_is_equation_6(kind, residual):
    model = product_of(*pair(kind, residual))
    expected = slowly(*pair(kind, residual), INPUTS)
    actual = log_probs(model, INPUTS)
    assert actual.dtype == torch.float32
    assert (actual - expected).abs().max() < 1e-4
    assert actual.double().exp().sum(dim=-1) == pytest.approx(torch.ones(3, 6), abs=1e-5)
    assert (actual - log_probs(build(kind), INPUTS)).abs().max() > 0.5  # the residual matters
    scored = token_log_probs(model, WINDOWS, 2)
    assert (scored - expected.gather(2, WINDOWS.unsqueeze(2))[:, 2:, 0]).abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_with_a_uniform_residual_it_is_the_base(kind):
    base, residual = pair(kind)
    residual.decoder.output_projection.weight.zero_()
    expected = log_probs(base, INPUTS)
    assert (log_probs(product_of(base, residual), INPUTS) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_probabilities_of_scoring(kind):
    model, prefixes = product_of(*pair(kind)), WINDOWS[:, :4]
    sampler = Sampler(model)
    assert isinstance(sampler.stepper, product.ProductStepper)
    streams = [WindowStream(1, "test", i) for i in range(3)]
    samples = sampler.sample(prefixes, 20, 5, streams)
    windows = torch.cat([prefixes.repeat_interleave(20, 0), samples.tokens.flatten(0, 1)], dim=1)
    scored = token_log_probs(model, windows, 4).sum(dim=1).view(3, 20)
    assert samples.log_p.std() > 0.2
    assert (samples.log_p - scored).abs().max() < 1e-4
    sampler.stepper = IncrementalStepper(model)  # fairseq's own way, for both at once
    again = sampler.sample(prefixes, 20, 5, [WindowStream(1, "test", i) for i in range(3)])
    assert torch.equal(samples.tokens, again.tokens)
    assert (samples.log_p - again.log_p).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["post-norm", "adaptive softmax", "lstm", "conv"])
def test_gradients_are_those_of_the_formula_for_the_residual_alone(kind):
    base, residual = pair(kind)
    model = product_of(base, residual)
    targets = WINDOWS.unsqueeze(2)
    log_probs(model, INPUTS).gather(2, targets).sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in base.parameters())

    again = build(RESIDUAL, seed=2)
    with torch.no_grad():
        base_log_probs = log_probs(base, INPUTS)
    joint = (base_log_probs + log_probs(again, INPUTS)).double()
    (joint.gather(2, targets)[..., 0] - joint.logsumexp(dim=-1)).sum().backward()
    expected = {name: p.grad for name, p in again.named_parameters() if p.grad is not None}
    assert max(float(g.abs().max()) for g in expected.values()) > 0.1
    for name, parameter in residual.named_parameters():
        if name in expected:
            torch.testing.assert_close(parameter.grad, expected[name], atol=1e-4, rtol=1e-4)


def test_the_base_has_no_dropout_even_in_training():
    base, residual = pair("post-norm")
    for part, dropout in ((base, 0.5), (residual, 0.0)):
        for module in part.modules():
            if hasattr(module, "p"):
                module.p = dropout
    base.train()
    assert not torch.equal(base(INPUTS)[0], base(INPUTS)[0])
    model = product_of(base, residual)
    quiet = model(INPUTS)[0]
    model.train()
    assert model.training and residual.decoder.training
    assert torch.equal(model(INPUTS)[0], quiet)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_leaves_the_base_as_it_is(dtype):
    base, residual = pair("post-norm")
    before = {name: value.clone() for name, value in base.state_dict().items()}
    model = product_of(base, residual).to(dtype=dtype)
    assert {p.dtype for p in residual.parameters()} == {dtype}
    assert all(torch.equal(before[name], value) for name, value in base.state_dict().items())
    exact = log_probs(product_of(*pair("post-norm")), INPUTS)
    half = log_probs(model, INPUTS)
    assert half.dtype == torch.float32 and (half - exact).abs().max() < 0.2


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_base_moves_with_the_rest(device):
    model = product_of(*pair("post-norm")).to(device)
    assert {p.device.type for p in model.parameters()} == {device}


def test_it_reads_as_much_as_both_can():
    base, residual = pair("conv")  # reads any length
    assert product_of(base, residual).max_positions() == residual.max_positions()
