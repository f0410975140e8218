"""How well energies tell real text from generated: shares from 0 to 1, with ties at chance."""

import torch
from torch import Tensor


def balanced_accuracy(real: Tensor, generated: Tensor, threshold: float = 0.0) -> float:
    """Mean of the shares of real texts below and of generated ones above the energy threshold.

    ``real`` and ``generated`` may have any shapes and sizes; each class counts one half. An energy
    on the threshold counts as half right, so E = 0 everywhere scores 0.5.
    """
    if real.numel() == 0 or generated.numel() == 0:
        raise ValueError("balanced accuracy needs energies of both classes")
    if torch.isnan(real).any() or torch.isnan(generated).any():
        raise ValueError("balanced accuracy: an energy is NaN")
    right_real = 1 - credit_above(real, threshold).mean()
    right_generated = credit_above(generated, threshold).mean()
    return float(0.5 * (right_real + right_generated))


def credit_above(values: Tensor, threshold: float) -> Tensor:
    """1 for each value above the threshold, 0.5 on it, 0 below: float64, of the same shape.

    This alone defines "called generated": every accuracy, hit rate and false-alarm rate is a mean
    of these.
    """
    values = values.double()
    return (values > threshold).double() + 0.5 * (values == threshold).double()


def credit_first(positive: Tensor, negatives: Tensor) -> Tensor:
    """What each prefix contributes to P@1, the share of prefixes whose real continuation (B,) has a
    lower energy than its generated ones (B, K): (B,) float64.

    If it ties with m of them for the lowest, 1 / (m + 1): the expectation if chance breaks the tie.
    """
    real = positive.unsqueeze(-1)
    beaten = (negatives < real).any(dim=-1)
    ties = (negatives == real).sum(dim=-1)
    return torch.where(beaten, 0.0, 1.0 / (ties + 1).double())
