"""Losses that train an energy on real and generated continuations of the same prefixes.

``positive`` (B,) are always the energies of real continuations, ``negatives`` (B, K) those of K
continuations generated from the same prefix. Low energy means real. A loss is (B,), one value per
prefix, never reduced over the batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def _check_shapes(positive: Tensor, negatives: Tensor) -> None:
    """Broadcasting would silently pair continuations of different prefixes."""
    if negatives.shape[:-1] != positive.shape or negatives.dim() == 0 or negatives.size(-1) == 0:
        raise ValueError(
            f"energies of shapes {tuple(positive.shape)} and {tuple(negatives.shape)}: "
            "expected (B,) and (B, K), K at least 1"
        )


def conditional_nce(positive: Tensor, negatives: Tensor) -> Tensor:
    """softplus(E⁺) + mean_k softplus(-E⁻_k): binary noise-contrastive estimation.

    With negatives from P_LM itself the optimum is E = log P_LM - log P_data, normalised for every
    prefix (Z = 1), because of the mean: a sum over k would shift it by log K. At E = 0, where the
    energy knows nothing, the loss is log 4.
    """
    _check_shapes(positive, negatives)
    return F.softplus(positive) + F.softplus(-negatives).mean(dim=-1)


def ranking_nce(positive: Tensor, negatives: Tensor) -> Tensor:
    """-log of the real continuation's share, exp(-E⁺) / Σ_{j=0..K} exp(-E_j).

    Consistent without normalisation: the optimum is that of ``conditional_nce`` up to a constant
    for each prefix, so a threshold at 0 means nothing here. At E = 0 the loss is log(K + 1).
    """
    _check_shapes(positive, negatives)
    scores = -torch.cat([positive.unsqueeze(-1), negatives], dim=-1)  # (B, K + 1)
    return -F.log_softmax(scores, dim=-1)[..., 0]


def margin_ranking(positive: Tensor, negatives: Tensor, margin: float = 1.0) -> Tensor:
    """mean_k max(0, margin + E⁺ - E⁻_k): for detection only; it estimates no density."""
    _check_shapes(positive, negatives)
    return F.relu(margin + positive.unsqueeze(-1) - negatives).mean(dim=-1)


def hardest_negative(negatives: Tensor) -> Tensor:
    """Index (B,) of the negative among K that looks most real, i.e. has the lowest energy.

    Training on the hardest of K helps classification, but the energy of ``conditional_nce`` is then
    no density ratio: its negatives must come from P_LM.
    """
    return negatives.argmin(dim=-1)
