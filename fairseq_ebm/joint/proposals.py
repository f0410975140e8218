"""A pool: what the language model proposes after a context, and what the energy thinks of it."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..data.streams import WindowStream
from ..errors import UserError
from .model import Joint


class ProposalPool(NamedTuple):
    """n proposals of L tokens, on the CPU; log-probabilities and energies in float64."""

    tokens: Tensor  # (n, L)
    log_p: Tensor  # (n,) log P_LM
    energies: Tensor  # (n,)
    seconds: "tuple[float, float]" = (0.0, 0.0)  # proposing, scoring

    @property
    def log_weights(self) -> Tensor:
        """Of the joint model against what was drawn from: q(x) exp(-E(x)) / q(x)."""
        return -self.energies


def join(pools: Sequence[ProposalPool]) -> ProposalPool:
    tokens, log_p, energies = (torch.cat(parts) for parts in zip(*(pool[:3] for pool in pools)))
    proposing, scoring = (sum(parts) for parts in zip(*(pool.seconds for pool in pools)))
    return ProposalPool(tokens, log_p, energies, (proposing, scoring))


def propose(
    joint: Joint, context: Tensor, samples: int, length: int, stream: WindowStream
) -> ProposalPool:
    """``samples`` continuations of ``length`` tokens of one context (C,). An energy of +inf means
    that a continuation cannot be."""
    return join(list(proposals(joint, context, samples, length, stream)))


def proposals(
    joint: Joint, context: Tensor, samples: int, length: int, stream: WindowStream
) -> Iterator[ProposalPool]:
    """The same, chunk by chunk."""
    chunks = joint.sampler.chunks(context.unsqueeze(0), samples, length, [stream])
    given = joint.of_prefix(context.unsqueeze(0))
    start = time.perf_counter()
    for chunk in chunks:
        drawn = time.perf_counter()
        tokens = chunk.tokens[0]
        windows = torch.cat([context.expand(len(tokens), -1), tokens], dim=1)
        energies = joint.energies(windows.unsqueeze(0), len(context))[0] - given
        scored = time.perf_counter()
        # Untruncated, q is P_LM given that nothing is padding, as everywhere with joint models.
        log_p = chunk.log_q if joint.sampler.truncation.is_none else chunk.log_p
        if bool((energies.isnan() | (energies == -torch.inf)).any()):
            raise UserError("the energy is NaN or -inf")
        yield ProposalPool(tokens, log_p[0], energies, (drawn - start, scored - drawn))
        start = time.perf_counter()
