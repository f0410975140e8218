"""How well energies tell real text from generated: shares between 0 and 1, chance at a tie."""

import torch
from torch import Tensor


def balanced_accuracy(real: Tensor, generated: Tensor, threshold: float = 0.0) -> float:
    """Mean of the shares of real texts below and of generated ones above the energy threshold.

    ``real`` and ``generated`` may have any shape and differ in number; each class counts half. An
    energy on the threshold counts half right, so that E = 0 everywhere scores 0.5.
    """
    if real.numel() == 0 or generated.numel() == 0:
        raise ValueError("balanced accuracy needs energies of both classes")
    if torch.isnan(real).any() or torch.isnan(generated).any():
        raise ValueError("balanced accuracy of energies that are NaN")
    right_real = 1 - credit_above(real, threshold).mean()
    right_generated = credit_above(generated, threshold).mean()
    return float(0.5 * (right_real + right_generated))


def credit_above(values: Tensor, threshold: float) -> Tensor:
    """1 for each value above the threshold, 0.5 on it, 0 below: float64, of the same shape.

    The one meaning of "called generated": every accuracy and every share of texts found or of false
    alarms is a mean of these.
    """
    values = values.double()
    return (values > threshold).double() + 0.5 * (values == threshold).double()


def credit_first(positive: Tensor, negatives: Tensor) -> Tensor:
    """What each prefix counts in P@1, the share of prefixes whose real continuation (B,) has the
    lowest energy beside its generated ones (B, K): (B,) float64.

    If it ties with m of them for the lowest, 1 / (m + 1): what breaking the tie by chance would
    give.
    """
    own = positive.unsqueeze(-1)
    beaten = (negatives < own).any(dim=-1)
    ties = (negatives == own).sum(dim=-1)
    return torch.where(beaten, 0.0, 1.0 / (ties + 1).double())
