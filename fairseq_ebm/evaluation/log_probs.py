"""Log-probabilities of real windows under the joint model, window by window."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from ..data.windows import Windows
from ..errors import UserError
from ..models.joint import Joint, Streams
from ..numerics.losses import conditional_nce
from ..numerics.partition import LogPartitionBounds, log_partition_bounds

SAMPLES_AT_ONCE = 1024  # windows whose pools are small are worked on together
LM_ALONE = 8  # windows that a language model alone reads together
VOCABULARY_AT_ONCE = 4096  # symbols whose energies are computed together


@dataclass(frozen=True)
class Bounds:
    """Of log Z of one prefix."""

    lower: float
    upper: float
    jackknife: float


@dataclass(frozen=True)
class LastPosition:
    """log P_LM of the last token, and log Z of all before it: estimated, and over every symbol."""

    log_lm: float
    log_z: Bounds
    exact_log_z: float


@dataclass(frozen=True)
class WindowResult:
    """Natural logarithms, summed over the continuation of one window."""

    number: int
    log_lm: float
    energy: float = 0.0
    log_z: Bounds = Bounds(0.0, 0.0, 0.0)
    ess: float = 0.0
    pareto_k: float = 0.0
    nce: float = 0.0  # conditional NCE of the real continuation against the pool
    nce_normalised: float = 0.0  # the same of E + log Z, whose Z is 1
    curve: Sequence[Bounds] = ()  # at the sizes of ``EvaluationOptions.sample_curve``
    token_log_lm: Sequence[float] = ()  # of positions p + 1 to T, with ``per_position``
    position_log_z: Sequence[Bounds] = ()  # of the prefixes of p, p + 1, … T - 1 tokens
    last: Optional[LastPosition] = None


@dataclass(frozen=True)
class EvaluationOptions:
    num_samples: int = 1000
    sample_curve: Tuple[int, ...] = ()
    per_position: bool = False
    exact_last_position: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if self.num_samples < 2:
            raise UserError("--num-samples: bounds need at least 2 samples")
        if any(not 2 <= n <= self.num_samples for n in self.sample_curve):
            raise UserError(
                f"--sample-curve: each size must be from 2 to --num-samples ({self.num_samples})"
            )


def blocks(
    joint: Joint, windows: int, options: EvaluationOptions, shard: int, shards: int
) -> List[range]:
    """The windows that are worked on together; shards take whole blocks, so that a window is
    computed in the same way however the work is divided."""
    size = LM_ALONE if joint.energy is None else max(1, SAMPLES_AT_ONCE // options.num_samples)
    every = [range(start, min(start + size, windows)) for start in range(0, windows, size)]
    return every[len(every) * shard // shards : len(every) * (shard + 1) // shards]


def evaluate_all(
    joint: Joint,
    windows: Windows,
    parts: Sequence[range],
    options: EvaluationOptions,
    done: Collection[int] = (),
) -> Iterator[WindowResult]:
    """The results of all windows but those whose numbers are ``done``."""
    for part in parts:
        if any(int(windows.numbers[i]) not in done for i in part):
            for result in evaluate(joint, windows, part, options):
                if result.number not in done:
                    yield result


def evaluate(
    joint: Joint, windows: Windows, members: Sequence[int], options: EvaluationOptions
) -> Iterator[WindowResult]:
    """The results of some windows, which are worked on together."""
    (prefix_length,) = windows.options.prefix_lengths
    text = np.stack([windows.tokens(i) for i in members]).astype(np.int64)
    read = joint.reading_order(torch.from_numpy(text))
    numbers = [int(windows.numbers[i]) for i in members]
    streams = Streams(options.seed, windows.subset, numbers)

    token_log_lm = joint.token_log_probs(read, prefix_length)  # (W, T - p)
    if joint.energy is None:
        for number, log_lm in zip(numbers, token_log_lm.sum(dim=1).tolist()):
            yield WindowResult(number, log_lm)
        return
    energies = joint.energies(read.unsqueeze(1), 0).squeeze(1)  # (W,)
    pools = _pool(joint, read, prefix_length, options, streams)
    whole = log_partition_bounds(pools)
    curve = [log_partition_bounds(pools[:, :n]) for n in options.sample_curve]
    later = range(prefix_length + 1, read.size(1)) if options.per_position else range(0)
    steps = [whole, *(log_partition_bounds(_pool(joint, read, t, options, streams)) for t in later)]
    log_z = whole.jackknife
    nce = conditional_nce(energies, pools)
    normalised = conditional_nce(energies + log_z, pools + log_z.unsqueeze(1))
    last, exact = steps[-1], None
    if options.exact_last_position:
        exact = _exact_last(joint, read)
        if not options.per_position:
            last = log_partition_bounds(_pool(joint, read, read.size(1) - 1, options, streams))
    for i, number in enumerate(numbers):
        require_finite(energies[i], number)
        yield WindowResult(
            number=number,
            log_lm=float(token_log_lm[i].sum()),
            energy=float(energies[i]),
            log_z=_bounds(whole, i),
            ess=float(whole.ess[i]),
            pareto_k=float(whole.pareto_k[i]),
            nce=float(nce[i]),
            nce_normalised=float(normalised[i]),
            curve=[_bounds(part, i) for part in curve],
            token_log_lm=token_log_lm[i].tolist() if options.per_position else [],
            position_log_z=[_bounds(step, i) for step in steps] if options.per_position else [],
            last=None
            if exact is None
            else LastPosition(float(token_log_lm[i, -1]), _bounds(last, i), float(exact[i])),
        )


def _pool(
    joint: Joint, read: Tensor, prefix_length: int, options: EvaluationOptions, streams: Streams
) -> Tensor:
    length = read.size(1) - prefix_length
    energies = joint.pool(read[:, :prefix_length], options.num_samples, length, streams)
    for row, number in zip(energies, streams.numbers):
        require_finite(row, number)
    return energies


def require_finite(energies: Tensor, number: int) -> None:
    if not bool(torch.isfinite(energies).all()):
        raise UserError(f"--path: the energy is not finite on window {number}")


def _bounds(bounds: LogPartitionBounds, i: int) -> Bounds:
    return Bounds(*(float(getattr(bounds, f.name)[i]) for f in dataclasses.fields(Bounds)))


def _exact_last(joint: Joint, read: Tensor) -> Tensor:
    """log Σ_v P_LM(v|x_<T) exp(-E(x_<T, v)) over all symbols but padding: (W,)"""
    prefix_length = read.size(1) - 1
    totals = []
    for row in read:
        log_lm, symbols = joint.next_symbols(row[:prefix_length])
        parts = []
        for some, log_p in zip(symbols.split(VOCABULARY_AT_ONCE), log_lm.split(VOCABULARY_AT_ONCE)):
            prefix = row[:prefix_length].expand(len(some), -1)
            windows = torch.cat([prefix, some.unsqueeze(1)], dim=1).unsqueeze(0)
            parts.append(log_p - joint.energies(windows, prefix_length)[0])
        totals.append(torch.logsumexp(torch.cat(parts), dim=0))
    return torch.stack(totals)
