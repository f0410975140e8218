"""Directional derivatives of a small transformer against double backward, in float64."""

import argparse
from copy import deepcopy
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.models.transformer_lm import TransformerLanguageModel, base_lm_architecture
from torch.func import functional_call, jvp

from fairseq_ebm.errors import UserError
from fairseq_ebm.lm.directional import Landscape, lengths_of, losses_by_example, unwrapped
from tests.lm.models import build

PADDING, SYMBOLS = 1, 30
MATH = partial(torch.nn.attention.sdpa_kernel, torch.nn.attention.SDPBackend.MATH)
ROUNDING = {"rtol": 5e-3, "atol": 2e-4}


@pytest.fixture
def model():
    torch.manual_seed(0)
    dictionary = Dictionary()
    for i in range(SYMBOLS - dictionary.nspecial):
        dictionary.add_symbol(f"w{i}")
    args = argparse.Namespace(
        decoder_layers=1, decoder_embed_dim=16, decoder_ffn_embed_dim=32, decoder_output_dim=16,
        decoder_input_dim=16, decoder_attention_heads=2, share_decoder_input_output_embed=True,
        decoder_learned_pos=True,
        tokens_per_sample=10, max_target_positions=10, dropout=0.3,
    )  # fmt: skip
    base_lm_architecture(args)
    task = SimpleNamespace(
        source_dictionary=dictionary, target_dictionary=dictionary, dictionary=dictionary
    )
    return TransformerLanguageModel.build_model(args, task).train()


def batch(size, seed):
    """Examples of unequal lengths."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(4, SYMBOLS, (size, 8), generator=generator)
    for row in range(size):
        target[row, 3 + row % 6 :] = PADDING
    source = torch.nn.functional.pad(target[:, :-1], (1, 0), value=2)
    lengths = target.ne(PADDING).sum(dim=1)
    return {"net_input": {"src_tokens": source, "src_lengths": lengths}, "target": target}


class Truth:
    """The same in float64, by autograd."""

    def __init__(self, model):
        model = deepcopy(model).double().eval()
        model.get_normalized_probs = lambda output, log_probs: output[0].log_softmax(dim=-1)
        self._model, self._shapes = model, {n: p.shape for n, p in model.named_parameters()}
        self.theta = torch.cat([p.detach().flatten() for p in model.parameters()])

    def losses(self, sample, theta):
        parts = theta.split([shape.numel() for shape in self._shapes.values()])
        named = {n: p.view(s) for (n, s), p in zip(self._shapes.items(), parts)}
        model, inputs = self._model, sample["net_input"]
        log_probs = functional_call(model, named, kwargs=inputs, tie_weights=True)[0]
        log_probs = log_probs.log_softmax(dim=-1)
        found = -log_probs.gather(2, sample["target"][..., None])[..., 0]
        is_token = sample["target"].ne(PADDING)
        return (found * is_token).sum(dim=1) / is_token.sum(dim=1)


def test_losses_are_those_of_the_criterion(model):
    """cross_entropy sums −log P over all tokens."""
    model.eval()
    sample = batch(5, 0)
    log_probs = model.get_normalized_probs(model(**sample["net_input"]), log_probs=True)
    whole = torch.nn.functional.nll_loss(
        log_probs.flatten(0, 1), sample["target"].flatten(), ignore_index=PADDING, reduction="sum"
    )
    lengths = sample["target"].ne(PADDING).sum(dim=1)
    ours = losses_by_example(model, sample, PADDING)
    torch.testing.assert_close((ours * lengths).sum(), whole)
    assert len({int(n) for n in lengths}) > 3


def test_a_landscape_does_not_touch_the_model(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    landscape, sample = Landscape(model, PADDING), batch(4, 0)
    landscape.curvature(sample, torch.ones_like(landscape.theta))
    landscape.gradient(sample)
    assert model.training and all(p.grad is None for p in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    landscape.follow(model)
    flat = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    torch.testing.assert_close(landscape.theta, flat, rtol=0, atol=0)
    expected = losses_by_example(deepcopy(model).eval(), sample, PADDING)
    torch.testing.assert_close(landscape.losses(sample), expected.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.1, 0.5, 0.0, 0.4])])
def test_gradients(model, weights):
    landscape, truth, sample = Landscape(model, PADDING), Truth(model), batch(4, 0)
    lengths = sample["target"].ne(PADDING).sum(dim=1)
    shares = lengths / lengths.sum() if weights is None else weights
    theta = truth.theta.clone().requires_grad_()
    (expected,) = torch.autograd.grad(shares.double() @ truth.losses(sample, theta), theta)
    losses, ours = landscape.gradient(sample, weights)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses, landscape.losses(sample), rtol=1e-6, atol=1e-6)
    elsewhere = landscape.theta + 0.01
    theta = elsewhere.double().requires_grad_()
    (expected,) = torch.autograd.grad(shares.double() @ truth.losses(sample, theta), theta)
    moved = landscape.gradient(sample, weights, at=elsewhere)[1]
    torch.testing.assert_close(moved.double(), expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(moved, ours, atol=1e-4)


def test_differences_are_directional_derivatives(model):
    """Equal to forward mode, and to the gradient's product with the direction."""
    landscape, truth, sample = Landscape(model, PADDING), Truth(model), batch(6, 0)
    _, direction = landscape.gradient(batch(6, 1))
    with MATH():
        _, expected = jvp(
            lambda theta: truth.losses(sample, theta), (truth.theta,), (direction.double(),)
        )
    ours = landscape.along(sample, direction)
    torch.testing.assert_close(ours.double(), expected, **ROUNDING)
    torch.testing.assert_close(landscape.along(sample, 100 * direction), 100 * ours, rtol=2e-3,
                               atol=1e-2)  # fmt: skip
    assert not landscape.along(sample, torch.zeros_like(direction)).any()


def test_differences_of_gradients_are_products_with_the_hessian(model):
    landscape, truth, sample = Landscape(model, PADDING), Truth(model), batch(6, 0)
    direction = landscape.gradient(batch(6, 1))[1]
    lengths = sample["target"].ne(PADDING).sum(dim=1).double()
    theta = truth.theta.clone().requires_grad_()
    with MATH():  # the others have no second derivatives
        mean = (lengths / lengths.sum()) @ truth.losses(sample, theta)
        (gradient,) = torch.autograd.grad(mean, theta, create_graph=True)
        (expected,) = torch.autograd.grad(gradient @ direction.double(), theta)
    q, product = landscape.curvature(sample, direction)
    error = (product.double() - expected).norm() / expected.norm()
    assert error < 5e-3
    torch.testing.assert_close(q, landscape.along(sample, direction), rtol=1e-2, atol=1e-3)


def test_weights_that_are_not_trained_are_no_part_of_theta(model):
    model.decoder.layers[0].fc1.weight.requires_grad_(False)
    landscape = Landscape(model, PADDING)
    frozen = model.decoder.layers[0].fc1.weight.numel()
    assert landscape.theta.numel() == sum(p.numel() for p in model.parameters()) - frozen
    expected = losses_by_example(deepcopy(model).eval(), batch(3, 0), PADDING).detach()
    torch.testing.assert_close(landscape.losses(batch(3, 0)), expected)


def test_half_precision_is_looked_at_in_float32(model):
    halved = deepcopy(model).bfloat16()
    landscape = Landscape(halved, PADDING)
    assert landscape.theta.dtype == torch.float32
    sample = batch(3, 0)
    found = landscape.along(sample, landscape.gradient(sample)[1])
    assert (found > 0).all()  # a step along the own gradient


@pytest.mark.parametrize("kind", ["conv", "lstm", "gelu"])
def test_other_architectures(kind):
    """Convolutions have weight norm: what they have computed of their weights is no weight."""
    model = build(kind)
    sample = {**batch(4, 0), "target": batch(4, 0)["target"] % 12}
    sample["net_input"] = {n: v % 12 for n, v in sample["net_input"].items()}
    losses_by_example(model, sample, PADDING).sum().backward()  # computes them, in training too
    landscape = Landscape(model, PADDING)
    expected = losses_by_example(model, sample, PADDING).detach()
    torch.testing.assert_close(landscape.losses(sample), expected)
    _, direction = landscape.gradient(sample)
    slope = landscape.along(sample, direction) @ (lengths_of(sample, PADDING).float())
    slope = slope / lengths_of(sample, PADDING).sum()
    torch.testing.assert_close(slope, direction.square().sum(), rtol=1e-2, atol=0.0)


def test_an_adaptive_softmax_is_refused():
    with pytest.raises(UserError, match="adaptive softmax"):
        Landscape(build("adaptive softmax"), PADDING)


def test_wrapped_models(model):
    wrapper = torch.nn.Module()
    wrapper.module = model
    assert unwrapped(wrapper) is model is unwrapped(model)
