"""Which proposals of a pool become draws: one function a rule, all with the same signature."""

import math
from typing import Callable, Dict, NamedTuple, Optional

import torch
from torch import Tensor

from ..data.streams import WindowStream
from ..numerics.acceptance import accept, distance, metropolis_hastings
from ..numerics.resampling import resample


class Choice(NamedTuple):
    indices: Tensor  # (R,) in the pool; fewer, where a rule needs more proposals
    figures: Dict[str, float]  # what the rule reports about itself


Beta = Optional[float]  # the threshold of rejection
Rule = Callable[[Tensor, int, WindowStream, Beta], Choice]  # log-weights (n,), draws, randomness


def snis(log_weights: Tensor, draws: int, stream: WindowStream, beta: Beta = None) -> Choice:
    """Self-normalised importance resampling, with replacement: exact for many proposals."""
    generator = torch.Generator().manual_seed(int(stream.uniforms(1)[0] * 2**53))
    return Choice(resample(log_weights, draws, generator), {})


def metropolis(log_weights: Tensor, draws: int, stream: WindowStream, beta: Beta = None) -> Choice:
    """States of one independent Metropolis–Hastings chain through the pool."""
    indices, acceptance = metropolis_hastings(log_weights, stream.uniforms(len(log_weights)), draws)
    return Choice(indices, {"acceptance": acceptance})


def rejection(log_weights: Tensor, draws: int, stream: WindowStream, beta: Beta = None) -> Choice:
    """Quasi-rejection: the first proposals that are accepted with probability min(1, w / β)."""
    assert beta is not None
    taken = accept(log_weights, stream.uniforms(len(log_weights)), math.log(beta))
    found = distance(log_weights, math.log(beta))
    return Choice(taken.nonzero()[:draws, 0], found._asdict())


RULES: Dict[str, Rule] = {"snis": snis, "metropolis": metropolis, "rejection": rejection}
