"""ESS by its definition; k-hat on tails whose shape is known."""

import math

import pytest
import torch

from fairseq_ebm.numerics.weights import effective_sample_size, pareto_k


def test_ess_is_its_definition():
    log_weights = torch.randn(
        4, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    weights = log_weights.exp()
    expected = weights.sum(-1) ** 2 / (weights**2).sum(-1)
    assert torch.allclose(effective_sample_size(log_weights), expected, rtol=1e-12)


def test_ess_ignores_scale_and_overflow():
    log_weights = torch.tensor([1e4, 1e4, -math.inf])
    assert float(effective_sample_size(log_weights)) == pytest.approx(2)


@pytest.mark.parametrize("shape", [0.1, 0.3, 0.5, 0.7, 1.0])
def test_k_hat_finds_the_shape_of_a_pareto_tail(shape):
    """u^-shape has a generalised Pareto tail of that shape beyond every threshold."""
    uniforms = torch.rand(
        100, 20_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    estimates = pareto_k(-shape * torch.log(uniforms))
    assert abs(float(estimates.mean()) - shape) < 0.02
    assert float(estimates.std()) < 0.1


def test_k_hat_of_bounded_weights_is_negative():
    uniforms = torch.rand(1, 20_000, generator=torch.Generator().manual_seed(2))
    assert float(pareto_k(torch.log(uniforms))) < -0.5


def test_k_hat_ignores_the_scale_of_weights():
    log_weights = torch.randn(1000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert float(pareto_k(log_weights + 5000)) == pytest.approx(float(pareto_k(log_weights)))


def test_k_hat_needs_a_tail():
    assert math.isnan(pareto_k(torch.randn(20)))
    assert math.isnan(pareto_k(torch.zeros(1000)))
    assert not math.isnan(pareto_k(torch.randn(21)))


@pytest.mark.parametrize("large", [1, 10])
def test_k_hat_is_infinite_if_a_few_weights_dominate(large):
    log_weights = torch.zeros(1000)
    log_weights[:large] = 10
    assert float(pareto_k(log_weights)) == math.inf
    log_weights[large:] = -math.inf
    assert float(pareto_k(log_weights)) == math.inf
    assert float(pareto_k(5000 * torch.randn(1000))) == math.inf


def test_k_hat_equals_arviz():
    """The values that ArviZ 0.17.1 fits to pools without random numbers."""
    steps = torch.arange(2000, dtype=torch.float64)
    assert float(pareto_k(9 * torch.sin(steps**2))) == pytest.approx(-1.482861344237928)
    fractions = torch.frac(0.6180339887498949 * (steps + 1))
    assert float(pareto_k(-1.8 * torch.log(fractions))) == pytest.approx(1.6544103458166117)
    assert float(pareto_k(-0.6 * torch.log(fractions[:60]))) == pytest.approx(0.42916723993406247)
