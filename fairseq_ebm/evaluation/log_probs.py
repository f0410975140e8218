"""Log-probabilities of real windows under the joint model, window by window."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from ..data.windows import Windows
from ..errors import OptionError
from ..joint.model import Joint, Streams
from ..numerics.losses import conditional_nce
from ..numerics.partition import log_partition, log_partition_bounds
from . import allocation
from .allocation import PrefixPools, pools_within, require_finite
from .options import LEAST_ERROR, MAX_SAMPLES, NUM_SAMPLES

LM_ALONE = 8  # windows read together if there is no energy
VOCABULARY_AT_ONCE = 4096  # symbols whose energies are computed together


@dataclass(frozen=True)
class Bounds:
    """Of log Z of one prefix; ``error``: the standard error of ``jackknife`` from sampling."""

    lower: float
    upper: float
    jackknife: float
    error: float = 0.0


@dataclass(frozen=True)
class LastPosition:
    """log P_LM of the last token; log Z of what precedes it, estimated and over every symbol."""

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
    num_samples: int = 0
    ess: float = 0.0
    pareto_k: float = 0.0
    nce: float = 0.0  # conditional NCE of the real continuation against the pool
    nce_normalised: float = 0.0  # the same for E + log Z, whose Z is 1
    curve: Sequence[Bounds] = ()  # at the sizes of ``EvaluationOptions.sample_curve``
    token_log_lm: Sequence[float] = ()  # of positions p + 1 to T, with ``per_position``
    position_log_z: Sequence[Bounds] = ()  # of the prefixes of p, p + 1, … T - 1 tokens
    last: Optional[LastPosition] = None


@dataclass(frozen=True)
class EvaluationOptions:
    """``num_samples`` for each window; or, with ``sampling_error``, as many as it takes, up to
    ``max_samples``, for the joint perplexity to have no larger relative standard error of sampling.
    """

    num_samples: int = NUM_SAMPLES
    sampling_error: Optional[float] = None
    max_samples: int = MAX_SAMPLES
    sample_curve: Tuple[int, ...] = ()
    per_position: bool = False
    exact_last_position: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if self.num_samples < 2:
            raise OptionError("{num_samples}: bounds need at least 2 samples")
        if any(not 2 <= n <= self.num_samples for n in self.sample_curve):
            most = f"{{num_samples}} ({self.num_samples})"
            raise OptionError(f"{{sample_curve}}: each size must be from 2 to {most}")
        error, least = self.sampling_error, 2 * allocation.STEP
        if error is None:
            return
        if not LEAST_ERROR <= error < 1:
            raise OptionError(f"{{sampling_error}}: {error} is not from {LEAST_ERROR} to 1")
        if self.sample_curve:
            raise OptionError("{sample_curve}: pools differ under {sampling_error}; drop one")
        if self.max_samples < least:
            raise OptionError(f"{{max_samples}}: {self.max_samples} is below {least}")


def blocks(
    joint: Joint, windows: int, options: EvaluationOptions, shard: int, shards: int
) -> List[range]:
    """The windows that are processed together. Shards take whole blocks, so that a window is
    computed in the same way however the work is divided."""
    if joint.energy is not None and options.sampling_error is not None:
        parts = allocation.groups(windows)
    else:
        alone = joint.energy is None
        size = LM_ALONE if alone else max(1, allocation.SAMPLES_AT_ONCE // options.num_samples)
        parts = [range(start, min(start + size, windows)) for start in range(0, windows, size)]
    return parts[len(parts) * shard // shards : len(parts) * (shard + 1) // shards]


def evaluate_all(
    joint: Joint,
    windows: Windows,
    parts: Sequence[range],
    options: EvaluationOptions,
    done: Collection[int] = (),
) -> Iterator[WindowResult]:
    """The results of all windows except those whose numbers are in ``done``."""
    for part in parts:
        if any(int(windows.numbers[i]) not in done for i in part):
            for result in evaluate(joint, windows, part, options):
                if result.number not in done:
                    yield result


def evaluate(
    joint: Joint, windows: Windows, members: Sequence[int], options: EvaluationOptions
) -> Iterator[WindowResult]:
    """The results of windows that are processed together."""
    (prefix_length,) = windows.options.prefix_lengths
    text = np.stack([windows.tokens(i) for i in members]).astype(np.int64)
    read = joint.reading_order(torch.from_numpy(text))
    numbers = [int(windows.numbers[i]) for i in members]

    token_log_lm = joint.token_log_probs(read, prefix_length)  # (W, T - p)
    for row, number in zip(token_log_lm, numbers):
        require_finite(row, number, "the language model's log-probability")
    if joint.energy is None:
        for number, log_lm in zip(numbers, token_log_lm.sum(dim=1).tolist()):
            yield WindowResult(number, log_lm)
        return
    given = joint.of_prefix(read[:, :prefix_length])  # (W,)
    energies = joint.energies(read.unsqueeze(1), 0).squeeze(1) - given
    for energy, number in zip(energies, numbers):
        require_finite(energy, number)
    streams = Streams(options.seed, windows.subset, numbers)

    def prefixes(length: int) -> PrefixPools:
        return PrefixPools(joint, read[:, :length], read.size(1) - length, streams)

    def less_given(pools: List[Tensor]) -> List[Tensor]:
        return [pool - same for pool, same in zip(pools, given)]

    pools = less_given(_pools(prefixes(prefix_length), options, len(windows)))
    sizes, longer = [len(pool) for pool in pools], _longer(options, prefix_length, read.size(1))
    later = [less_given(prefixes(t).pools(sizes)) for t in longer]
    exact = _exact_last(joint, read) + given if options.exact_last_position else None
    for i, (number, pool) in enumerate(zip(numbers, pools)):
        log_z = log_partition_bounds(pool)
        steps = [Bounds(*map(float, log_z[:4])), *(_bounds(pools_at[i]) for pools_at in later)]
        yield WindowResult(
            number=number,
            log_lm=float(token_log_lm[i].sum()),
            energy=float(energies[i]),
            log_z=steps[0],
            num_samples=len(pool),
            ess=float(log_z.ess),
            pareto_k=float(log_z.pareto_k),
            **_nce(energies[i], pool, float(log_z.jackknife)),
            curve=[_bounds(pool[:n]) for n in options.sample_curve],
            token_log_lm=token_log_lm[i].tolist() if options.per_position else [],
            position_log_z=steps if options.per_position else [],
            last=None
            if exact is None
            else LastPosition(float(token_log_lm[i, -1]), steps[-1], float(exact[i])),
        )


def _pools(prefixes: PrefixPools, options: EvaluationOptions, windows: int) -> List[Tensor]:
    """E of the samples after each prefix: W of (n_w,). ``windows``: their number in all."""
    size = len(prefixes.tokens)
    if options.sampling_error is None:
        return prefixes.pools([options.num_samples] * size)
    variance = (options.sampling_error * prefixes.length) ** 2 * windows * size
    return pools_within(prefixes, variance, options.max_samples)


def _longer(options: EvaluationOptions, prefix_length: int, window: int) -> Sequence[int]:
    """Lengths of the longer prefixes that the options ask for, the last of T - 1 tokens."""
    lengths = range(prefix_length + 1, window)
    return lengths if options.per_position else lengths[-1:] if options.exact_last_position else ()


def _nce(energy: Tensor, pool: Tensor, log_z: float) -> Dict[str, float]:
    """``energy`` () of the real continuation against the pool (n,)."""
    real, others = energy.view(1), pool.unsqueeze(0)
    return {
        "nce": float(conditional_nce(real, others)),
        "nce_normalised": float(conditional_nce(real + log_z, others + log_z)),
    }


def _bounds(pool: Tensor) -> Bounds:
    return Bounds(*map(float, log_partition(pool)))


def _exact_last(joint: Joint, read: Tensor) -> Tensor:
    """log Σ_v P_LM(v|x_<T) exp(-E(x_<T, v)) over all symbols but padding: (W,)"""
    totals = []
    for prefix in read[:, :-1]:
        log_lm, symbols = joint.next_symbols(prefix)
        terms = []
        for part, log_p in zip(symbols.split(VOCABULARY_AT_ONCE), log_lm.split(VOCABULARY_AT_ONCE)):
            completed = torch.cat([prefix.expand(len(part), -1), part.unsqueeze(1)], dim=1)
            terms.append(log_p - joint.energies(completed.unsqueeze(0), len(prefix))[0])
        totals.append(torch.logsumexp(torch.cat(terms), dim=0))
    return torch.stack(totals)
