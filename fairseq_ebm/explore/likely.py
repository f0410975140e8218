"""How likely a text is, and what could stand at a place of it: the numbers of ``JointModel.bounds``
and of ``fairseq-ebm next-token``, step by step."""

import math
from collections.abc import Iterator
from typing import Optional

import torch

from ..errors import UserError
from ..joint.bounds import TextBounds, bounds_so_far
from ..joint.next_token import candidates, probabilities
from ..options import Record
from .options import Likely, Next
from .subject import Subject


def likely(subject: Subject, asked: Likely) -> Iterator[Record]:
    subject.models.require_density()
    before = subject.tokens(asked.prefix, "Beginning")
    after = subject.tokens(asked.continuation, "Continuation")
    if not len(after):
        raise UserError("Continuation: there is nothing in it")
    text = torch.cat([before, after])
    subject.require_fit(len(text), "Beginning and continuation")
    log_p = subject.joint.token_log_probs(text[None], 0)[0]
    pieces = zip(subject.pieces(text), log_p.tolist())
    own = log_p[len(before) :]
    yield {
        "event": "tokens",
        "tokens": [{"text": piece, "log_p": value} for piece, value in pieces],
        "prefix_tokens": len(before),
        "log_p_lm": float(own.sum()),
        "base_ppl": math.exp(-float(own.mean())),
        "warnings": subject.models.doubts(len(before), len(text)),
    }
    found: Optional[TextBounds] = None
    parts = bounds_so_far(subject.joint, before, after, asked.samples, asked.seed)
    for number, found in enumerate(parts, 1):
        done = min(asked.samples, number * subject.joint.sampler.rows_at_once(len(after)))
        yield {"event": "bounds", "done": done, "samples": asked.samples, **_record(found)}
    assert found is not None
    yield {"event": "end", **_record(found)}


def _record(found: TextBounds) -> Record:
    interval = found.joint_ppl_sampling_ci95
    return {
        "energy": found.energy,
        "log_z": found.log_z,
        "log_z_error": found.log_z_error,
        "log_z_lower": found.log_z_lower,
        "log_z_upper": found.log_z_upper,
        "base_ppl": found.base_ppl,
        "joint_ppl": found.joint_ppl,
        "joint_ppl_ci95": interval,
        "ess": found.ess,
    }


def next_token(subject: Subject, asked: Next) -> Iterator[Record]:
    """Both models' distributions after the beginning of a text. Its table, once all are there."""
    subject.models.require_density()
    before = subject.tokens(asked.prefix, "Beginning")
    text = torch.cat([before, subject.tokens(asked.continuation, "Continuation")])
    position = len(before) if asked.position is None else min(asked.position, len(text))
    prefix = text[:position]
    if position >= subject.window:
        raise UserError(
            f"token {position + 1}: the models see {subject.window} at once; choose an earlier one"
        )
    found = []
    whole = subject.models.joint()  # its sampler completes as many at once as fit
    count = min(asked.candidates, len(subject.models.lm.dictionary) - 1)
    each = candidates(whole, prefix, count, subject.window, asked.samples, asked.seed, at_once=1)
    for candidate in each:
        found.append(candidate)
        yield {"event": "candidates", "done": len(found), "candidates": count}
    yield {
        "event": "end",
        "position": position,
        "actual": subject.name(int(text[position])) if position < len(text) else None,
        "rows": [
            {
                "text": subject.name(row.candidate.symbol),
                "is_actual": position < len(text) and row.candidate.symbol == int(text[position]),
                "p": math.exp(row.candidate.log_lm),
                "lm": row.lm,
                "joint": row.joint,
                "joint_ci95": row.sampling_ci95,
            }
            for row in probabilities(found)
        ],
        "warnings": subject.models.doubts(position),
    }
