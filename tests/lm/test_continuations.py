"""log P of continuations that share prefixes, against fairseq's forward pass of each alone."""

import pytest
import torch

from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.continuations import continuation_log_probs
from fairseq_ebm.lm.scoring import token_log_probs
from tests.conftest import CHECKOUT, train_lm

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ralm(run_program, sums, sums_lm, tmp_path_factory):
    flags = ["--user-dir", CHECKOUT / "fairseq_ebm", "--task", "language_modeling"]
    flags += ["--arch", "residual_lm", "--base-lm", sums_lm]
    return train_lm(run_program, tmp_path_factory.mktemp("ralm"), sums, *flags)


@pytest.fixture(params=["transformer_lm", "residual_lm"])
def model(request, sums, sums_lm):
    path = sums_lm if request.param == "transformer_lm" else request.getfixturevalue("ralm")
    return load_base_lm(path, sums, "fp32", CPU).model


@pytest.fixture(scope="module")
def windows():
    drawn = torch.randint(4, 15, (3, 4, 10), generator=torch.Generator().manual_seed(1))
    drawn[:, :, :6] = drawn[:, :1, :6]
    return drawn


@pytest.mark.parametrize("prefix, shared", [(6, 6), (6, 0), (4, 6), (6, 2), (0, 6), (9, 6), (6, 9)])
def test_what_each_window_says_alone(model, windows, prefix, shared):
    if shared == 9:
        windows = windows[:, :1]
    with torch.no_grad():
        found = continuation_log_probs(model.decoder, windows, prefix, shared)
    expected = token_log_probs(model, windows.flatten(0, 1), prefix, without_padding=True)
    torch.testing.assert_close(found.flatten(0, 1), expected, atol=1e-5, rtol=1e-5)


def test_gradients(model, windows):
    """Of all windows at once, against those of each alone."""
    weights = [p for p in model.parameters() if p.requires_grad]

    def gradients(log_probs):
        weighted = log_probs * torch.linspace(-1, 1, log_probs.numel()).view_as(log_probs)
        return torch.autograd.grad(weighted.sum(), weights, allow_unused=True)

    together = gradients(continuation_log_probs(model.decoder, windows, 6, 6))
    alone = gradients(continuation_log_probs(model.decoder, windows, 6, 0))
    assert any(each is not None and each.abs().max() > 0.01 for each in together)
    for one, other in zip(together, alone):
        if other is not None:
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
