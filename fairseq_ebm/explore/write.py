"""Proposals of a language model as they are drawn, what an energy thinks of them, and what a joint
model and the language model alone would write: fairseq-interactive's numbers, step by step."""

import dataclasses
import math
import shlex
from collections.abc import Iterator
from typing import List, Optional

import torch
from torch import Tensor

from ..data.streams import WindowStream
from ..errors import UserError
from ..joint.continuation import GenerationOptions, JointDraw, continue_prompt, extend
from ..joint.model import Joint
from ..joint.proposals import ProposalPool, join, proposals
from ..joint.rules import snis
from ..lm.sampler import require_truncation
from ..numerics.drawing import Truncation
from ..numerics.weights import effective_sample_size
from ..options import Record
from ..records import finite
from .options import Write
from .subject import Subject


def write(subject: Subject, asked: Write) -> Iterator[Record]:
    prompt = subject.tokens(asked.prompt, "Prompt")
    options = GenerationOptions(asked.proposals, asked.draws, subject.window, asked.length)
    if len(prompt) and (asked.length or 0) >= subject.window:
        raise UserError(f"New tokens: behind a prompt {subject.window - 1} are the most")
    (length,) = options.chunks(len(prompt))
    truncation = Truncation(top_k=asked.top_k)
    require_truncation(truncation, len(subject.models.lm.dictionary))
    joint = dataclasses.replace(subject.joint, sampler=subject.joint.sampler.truncated(truncation))
    context = prompt[max(0, len(prompt) - (subject.window - length)) :]
    words = subject.words(prompt)
    yield {
        "event": "begin",
        "length": length,
        "prompt_tokens": len(prompt),
        "context_tokens": len(context),
        "command": command(subject, asked, length),
        "warnings": subject.models.doubts(len(context)),
    }
    base = _of_base(subject, joint, prompt, options, asked.seed)
    yield {"event": "base", "texts": [words(draw.tokens.tolist()) for draw in base]}
    streams, pools = subject.stream_of(asked.seed), []
    for pool in proposals(joint, context, asked.proposals, length, streams("propose-0-0")):
        pools.append(pool)
        yield {"event": "proposals", "proposals": [
            {"text": words(tokens), "log_p": log_p, "energy": finite(energy)}
            for tokens, log_p, energy in zip(*(part.tolist() for part in pool[:3]))
        ]}  # fmt: skip
    yield {"event": "end", **_drawn(join(pools), asked.draws, streams("choose-0-0"))}


def _of_base(
    subject: Subject, joint: Joint, prompt: Tensor, options: GenerationOptions, seed: int
) -> List[JointDraw]:
    """What fairseq-interactive writes with the language model alone."""
    alone = dataclasses.replace(joint, energy=None)
    own = f"{subject.models.lm.sha256[:16]}-"
    streams = subject.stream_of(seed)
    found = continue_prompt(alone, prompt, options, lambda purpose: streams(own + purpose))
    return found.draws


def _drawn(pool: ProposalPool, count: int, stream: WindowStream) -> Record:
    if not bool((pool.log_weights > -math.inf).any()):
        return {"draws": [], "shares": [0.0] * len(pool.energies), "ess": None}
    choice = snis(pool.log_weights, count, stream)
    draws = [JointDraw(pool.tokens.new_empty(0)) for _ in range(count)]
    extend(draws, pool, choice)
    return {
        "draws": [
            {"index": index, "share": draw.share}
            for index, draw in zip(choice.indices.tolist(), draws)
        ],
        "shares": torch.softmax(pool.log_weights, dim=0).tolist(),
        "ess": float(effective_sample_size(pool.log_weights)),
    }


def command(subject: Subject, asked: Write, length: int) -> Optional[str]:
    """The same in a shell, if a shell can: of several lines fairseq-interactive makes several
    prompts, and it leaves out spaces around them."""
    if asked.prompt != asked.prompt.strip() or set(asked.prompt) & set("\n\0"):
        return None
    options = subject.options
    words = ["fairseq-interactive", str(options.data), "--task", "residual_ebm_lm"]
    words += ["--path", str(options.path), "--joint-samples", str(asked.proposals)]
    words += ["--window", str(subject.window), "--generation-length", str(length)]
    words += ["--sampling", "--beam", str(asked.draws), "--nbest", str(asked.draws)]
    words += ["--seed", str(asked.seed)]
    if asked.top_k is not None:
        words += ["--sampling-topk", str(asked.top_k)]
    words += [f"--{name}" for name in ("cpu", "fp16", "bf16") if getattr(options, name)]
    written = " ".join(map(shlex.quote, words))
    user_dir = '--user-dir "$(fairseq-ebm user-dir)"'
    return f"printf '%s\\n' {shlex.quote(asked.prompt)} | {written} {user_dir}"
