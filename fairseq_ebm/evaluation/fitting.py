"""The weights of a formula that make a split likeliest.

Over windows x with prefixes c, and samples y_i of the language model after each,

    minimise  mean_x [ θ · f(x) + log Z_θ(c) ],
    log Z_θ = log 1/(n+1) ( exp(-θ · f(x)) + Σ_i exp(-θ · f(y_i)) )

where f are the energies and the experts' -log P. The window itself is one of its samples in Z. From
the others alone Z comes out too small where energies tell all of them from real text, and that in
most windows is enough for the loss to fall without end. With it, this is the loss of ranking x
among n + 1: convex, never below -log(n+1), and of n large enough the likelihood.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, List, Tuple

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from ..data.windows import Windows
from ..errors import UserError
from ..joint.formula import WeightedSum
from ..joint.model import Joint, Streams
from ..numerics.partition import log_partition
from ..progress import progress
from .log_probs import EvaluationOptions, blocks

SEPARATED = 0.01  # nats above the least loss that there is, which no weights reach


@dataclass(frozen=True)
class Fitted:
    """``nats``: by how much a window of the split is likelier than under the language model, by the
    upper bound of Z."""

    subset: str
    num_windows: int
    num_samples: int
    weights: Tuple[float, ...]
    nats: float


def fit(joint: Joint, windows: Windows, options: EvaluationOptions) -> Fitted:
    """Weights of the terms of ``joint``'s energy."""
    parts = blocks(joint, len(windows), options, 0, 1)
    done = progress(
        (_terms(joint, windows, part, options) for part in parts), "weights", len(parts)
    )
    of_real, of_pools = (torch.cat(each) for each in zip(*done))  # (N, K), (N, n, K)
    if not bool(torch.isfinite(of_real).all() and torch.isfinite(of_pools).all()):
        raise UserError(f"--fit-weights: energies on {windows.subset} are not all finite")

    def loss(theta: np.ndarray) -> Tuple[float, np.ndarray]:
        at = torch.tensor(theta, requires_grad=True)
        value = mean_nats(at, of_real, of_pools)
        (gradient,) = torch.autograd.grad(value, at)
        return value.item(), gradient.numpy()

    # From the language model itself, where all samples count alike.
    found = minimize(loss, np.zeros(of_real.size(1)), jac=True, method="BFGS")
    if found.fun < SEPARATED - math.log(1 + of_pools.size(1)):
        problem = f"in all windows of {windows.subset} no sample is as good as real text"
        raise UserError(f"--fit-weights: {problem}: weights have no end; draw more samples")
    theta = torch.from_numpy(found.x)
    nats = -float((of_real @ theta + log_partition(of_pools @ theta).upper).mean())
    return Fitted(windows.subset, len(of_real), of_pools.size(1), tuple(map(float, found.x)), nats)


def mean_nats(theta: Tensor, of_real: Tensor, of_pools: Tensor) -> Tensor:
    """What a window is less likely by than under the language model."""
    real, pool = -(of_real @ theta).unsqueeze(1), -(of_pools @ theta)
    log_z = torch.logsumexp(torch.cat([real, pool], dim=1), dim=1) - math.log(1 + pool.size(1))
    return (log_z - real.squeeze(1)).mean()


@torch.inference_mode()
def _terms(
    joint: Joint, windows: Windows, members: Sequence[int], options: EvaluationOptions
) -> List[Tensor]:
    """Of windows (W, K) and of the samples after their prefixes (W, n, K)."""
    (prefix_length,) = windows.options.prefix_lengths
    text = np.stack([windows.tokens(i) for i in members]).astype(np.int64)
    read = joint.reading_order(torch.from_numpy(text))
    streams = Streams(options.seed, windows.subset, [int(windows.numbers[i]) for i in members])
    terms = [Joint(joint.model, joint.sampler, term, joint.right_to_left) for term in _each(joint)]
    real = torch.stack([term.energies(read.unsqueeze(1), 0).squeeze(1) for term in terms], dim=-1)
    prefixes, pools = read[:, :prefix_length], []
    length, n = read.size(1) - prefix_length, options.num_samples
    for chunk in joint.sampler.chunks(prefixes, n, length, streams.of(prefix_length)):
        before = prefixes.unsqueeze(1).expand(-1, chunk.tokens.size(1), -1)
        whole = torch.cat([before, chunk.tokens], dim=2)
        pools.append(torch.stack([term.energies(whole, prefix_length) for term in terms], dim=-1))
    return [real, torch.cat(pools, dim=1)]


def _each(joint: Joint) -> List[Any]:
    return joint.energy.terms if isinstance(joint.energy, WeightedSum) else [joint.energy]
