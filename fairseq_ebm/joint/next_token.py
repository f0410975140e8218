"""Next-token probabilities of the joint model (equation 5 of the first paper, its table 3)."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Iterator, List, Optional, Tuple

import torch
from torch import Tensor

from ..data.tokenizers import Tokenizer, load_tokenizer, require_known
from ..errors import OptionError, UserError
from ..numerics.intervals import Z95
from ..numerics.partition import log_partition_bounds
from ..options import Record
from ..progress import progress
from ..provenance import provenance
from .checkpoints import load_joint_checkpoints
from .model import Joint, Streams
from .options import NextToken

KIND = "next_token"

AT_ONCE = 8  # candidates whose completions are drawn together


@dataclass(frozen=True)
class Candidate:
    """One symbol after a prefix. log P_joint = log P_LM + log Z, of all texts that begin with the
    prefix and the symbol, + a constant; where it ends the window log Z is -E, without samples.
    ``log_z_error``: the standard error of ``log_z`` by sampling."""

    symbol: int
    log_lm: float
    log_z_lower: float
    log_z_upper: float
    log_z: float
    log_z_error: float
    ess: Optional[float]  # None: without samples


@dataclass(frozen=True)
class Probability:
    """A candidate's probabilities among all candidates. The bounds, which hold for many samples,
    show bias; ``sampling_ci95`` shows the luck of sampling, which is usually larger."""

    candidate: Candidate
    lm: float
    joint: float
    joint_lower: float
    joint_upper: float
    sampling_ci95: Tuple[float, float]


def next_token(options: NextToken) -> Record:
    tokenizer = load_tokenizer(options.data)
    encoded = tokenizer.encode([options.prefix])
    require_known(encoded, tokenizer.dictionary, "--prefix")
    prefix = torch.from_numpy(encoded[0])
    models = load_joint_checkpoints(
        options.path, options.data, options.precision, options.device, options.sampling_memory
    )
    if not models.judges:
        raise UserError("--path: no energy; give LM.pt:ENERGY.pt")
    window = options.window or models.window
    models.require_window(window)
    models.require_density()
    models.lm.require_left_to_right()
    if len(prefix) >= window:
        raise OptionError(f"{{prefix}}: {len(prefix)} tokens fill the {{window}} of {window}")
    count = min(options.candidates, len(models.lm.dictionary) - 1)
    likeliest = candidates(models.joint(), prefix, count, window, options.num_samples, options.seed)
    rows = probabilities(list(progress(likeliest, "candidates", count)))
    records = [_record(row, tokenizer) for row in rows]
    return {
        "kind": KIND,
        "prefix": options.prefix,
        "num_samples": options.num_samples,
        "top": top(records, options.top),
        "candidates": records,
        "warnings": models.doubts(len(prefix)),
        "provenance": provenance(options, models.named(), **models.also_named()),
    }


def top(records: Sequence[Record], count: int) -> List[Record]:
    """The likeliest so many of each model, each with its ``share`` of these."""
    best = {m: sorted(records, key=lambda record: -record[m])[:count] for m in ("lm", "joint")}
    total = {m: sum(record[m] for record in rows) for m, rows in best.items()}
    with_share = [[{**row, "share": row[m] / total[m]} for row in rows] for m, rows in best.items()]
    return [dict(zip(best, pair)) for pair in zip(*with_share)]


def _record(row: Probability, tokenizer: Tokenizer) -> Record:
    values = dataclasses.asdict(row)
    return {"text": tokenizer.decode([row.candidate.symbol]), **values.pop("candidate"), **values}


def candidates(
    joint: Joint,
    prefix: Tensor,
    count: int,
    window: int,
    samples: int,
    seed: int,
    at_once: int = AT_ONCE,
) -> Iterator[Candidate]:
    """The ``count`` symbols that the language model finds likeliest after ``prefix`` (p,), each
    completed ``samples`` times up to ``window`` tokens. As they come; likeliest first."""
    log_lm, symbols = joint.next_symbols(prefix)
    best = torch.topk(log_lm, min(count, len(log_lm)))
    chosen = symbols[best.indices]
    length = window - len(prefix) - 1
    for some, log_p in zip(chosen.split(at_once), best.values.split(at_once)):
        texts = torch.cat([prefix.expand(len(some), -1), some.unsqueeze(1)], dim=1)
        if length == 0:
            log_z = -_finite(joint.energies(texts.unsqueeze(1), 0)).squeeze(1)
            rows = [(z, z, z, 0.0, None) for z in log_z.tolist()]
        else:
            streams = Streams(seed, "next-token", some.tolist())
            bounds = log_partition_bounds(_finite(joint.pool(texts, samples, length, streams)))
            rows = list(zip(*(column.tolist() for column in bounds[:-1])))  # all but k-hat
        for symbol, log_p_of, row in zip(some.tolist(), log_p.tolist(), rows):
            yield Candidate(symbol, log_p_of, *row)


def _finite(energies: Tensor) -> Tensor:
    if not bool(torch.isfinite(energies).all()):
        raise UserError("--path: the energy is not finite on completions of the prefix")
    return energies


def probabilities(found: List[Candidate]) -> List[Probability]:
    """Normalised among the candidates; the likeliest under the joint model first."""

    def column(name: str) -> Tensor:
        return torch.tensor([getattr(each, name) for each in found], dtype=torch.float64)

    log_lm = column("log_lm")
    lower, upper = log_lm + column("log_z_lower"), log_lm + column("log_z_upper")
    lm, joint = torch.softmax(log_lm, 0), torch.softmax(log_lm + column("log_z"), 0)
    # A symbol at its least: its own lower bound against the others' upper ones.
    least = torch.sigmoid(lower - _others(upper))
    most = torch.sigmoid(upper - _others(lower))
    low, high = _sampling_interval(log_lm + column("log_z"), column("log_z_error"))
    values = (part.tolist() for part in (lm, joint, least, most))
    rows = map(Probability, found, *values, zip(low.tolist(), high.tolist()))
    return sorted(rows, key=lambda row: -row.joint)


def _sampling_interval(log_joint: Tensor, errors: Tensor) -> Tuple[Tensor, Tensor]:
    """95% intervals (n,) of softmax(log_joint), whose entries have independent standard errors.

    A change d of log_joint moves the log-odds of i against the others by d_i - Σ_{j≠i} d_j p_j /
    (1 - p_i).
    """
    odds, shares = log_joint - _others(log_joint), torch.softmax(_without_itself(log_joint), dim=1)
    shares = shares.nan_to_num()  # of a single candidate there are no others
    spread = (errors.square() + shares.square() @ errors.square()).sqrt()
    return torch.sigmoid(odds - Z95 * spread), torch.sigmoid(odds + Z95 * spread)


def _others(values: Tensor) -> Tensor:
    """log Σ of all but each: (n,) -> (n,)"""
    return torch.logsumexp(_without_itself(values), dim=1)


def _without_itself(values: Tensor) -> Tensor:
    """(n,) -> (n, n): in row i, all values but the i-th, which is -inf."""
    n = len(values)
    return values.expand(n, n).masked_fill(torch.eye(n, dtype=torch.bool), -torch.inf)
