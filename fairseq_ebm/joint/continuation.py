"""Continuing a prompt from the joint model: propose, score, choose, and for long text, again.
Without an energy, from the language model: the same without a choice."""

import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from ..data.streams import WindowStream
from ..errors import OptionError, UserError
from ..numerics.weights import effective_sample_size
from .model import Joint
from .proposals import ProposalPool, join, propose
from .rules import RULES, Choice

ROUNDS = 100  # of proposals, until rejection has accepted enough

StreamOf = Callable[[str], WindowStream]  # the random numbers of a prompt for a purpose


@dataclass(frozen=True)
class GenerationOptions:
    """``window``: how many tokens, context and continuation, the models see at once."""

    joint_samples: int = 1000
    num_draws: int = 1
    window: int = 160
    length: Optional[int] = None  # None: what the window leaves
    chunk_length: Optional[int] = None  # None: all at once
    rule: str = "snis"
    beta: Optional[float] = None  # threshold of rejection, in units of exp(-E)

    def __post_init__(self) -> None:
        for name in ("joint_samples", "num_draws", "window", "length", "chunk_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"{{{name}}}: {value} is below 1")
        if self.num_draws > self.joint_samples:
            asked = f"{self.num_draws} draws from {self.joint_samples} proposals"
            raise OptionError(f"{{num_draws}}: {asked}; raise {{joint_samples}}")
        if self.rule not in RULES:
            raise OptionError(f"{{rule}}: '{self.rule}' is none of {', '.join(RULES)}")
        if (self.rule == "rejection") != (self.beta is not None):
            raise OptionError("{beta}: needed by {rule} rejection, and by no other")
        if self.beta is not None and not 0 < self.beta < math.inf:
            raise OptionError("{beta}: must be above 0")

    def chunks(self, prompt_length: int) -> List[int]:
        """The lengths in which a continuation is made."""
        length = self.length or self.window - prompt_length
        if length < 1:
            prompt = f"the prompt of {prompt_length} tokens fills the window of {self.window}"
            raise OptionError(f"{{length}}: needed, since {prompt}")
        size = min(self.chunk_length or length, length)
        has_context = prompt_length > 0 or size < length
        if size > self.window - int(has_context):
            name = "length" if size == length else "chunk_length"
            full = f"{size} tokens leave no room for a context in the window of {self.window}"
            raise OptionError(f"{{{name}}}: {full}; give a smaller {{chunk_length}}")
        return [size] * (length // size) + ([length % size] if length % size else [])


@dataclass
class JointDraw:
    """One continuation. Made of several chunks, energies and log-probabilities are summed, shares
    multiplied, and the least ESS is kept."""

    tokens: Tensor  # (L,)
    energy: float = 0.0
    log_p: float = 0.0
    share: float = 1.0  # of its pool's weight
    ess: float = math.inf


@dataclass
class ContinuedPrompt:
    draws: List[JointDraw]
    pools: List[ProposalPool] = field(default_factory=list)
    figures: List[Dict[str, float]] = field(default_factory=list)  # of each pool's rule
    # proposing, scoring, choosing
    seconds: List[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])


def continue_prompt(
    joint: Joint, prompt: Tensor, options: GenerationOptions, stream_of: StreamOf
) -> ContinuedPrompt:
    """``options.num_draws`` continuations of a prompt (P,), which may be empty."""
    result = ContinuedPrompt([JointDraw(prompt.new_empty(0)) for _ in range(options.num_draws)])
    for part, length in enumerate(options.chunks(len(prompt))):
        # At first all draws come from one pool; later each continues its own text.
        groups = [result.draws] if part == 0 else [[draw] for draw in result.draws]
        for member, draws in enumerate(groups):
            context = torch.cat([prompt, draws[0].tokens])
            context = context[max(0, len(context) - (options.window - length)) :]
            here = dataclasses.replace(options, length=length, num_draws=len(draws))
            pool, choice, choosing = _chosen(joint, context, here, stream_of, f"{part}-{member}")
            extend(draws, pool, choice)
            result.pools.append(pool)
            result.figures.append(choice.figures)
            for i, spent in enumerate((*pool.seconds, choosing)):
                result.seconds[i] += spent
    return result


def _chosen(
    joint: Joint, context: Tensor, options: GenerationOptions, stream_of: StreamOf, purpose: str
) -> Tuple[ProposalPool, Choice, float]:
    """A pool, its choice and the seconds that this took; more proposals are made until the rule has
    enough. Where nothing judges, the proposals are the draws."""
    draws, length = options.num_draws, options.length
    assert length is not None
    proposing, choosing = stream_of(f"propose-{purpose}"), f"choose-{purpose}"
    if joint.energy is None:
        pool = propose(joint, context, draws, length, proposing)
        return pool, Choice(torch.arange(draws), {}), 0.0
    spent = 0.0
    pool = propose(joint, context, options.joint_samples, length, proposing)
    for _ in range(ROUNDS):
        start = time.perf_counter()
        if not bool((pool.log_weights > -math.inf).any()):
            raise UserError(f"all {len(pool.energies)} proposals have an infinite energy")
        rule = RULES[options.rule]
        choice = rule(pool.log_weights, draws, stream_of(choosing), options.beta)
        spent += time.perf_counter() - start
        if len(choice.indices) == draws:
            return pool, choice, spent
        pool = join([pool, propose(joint, context, options.joint_samples, length, proposing)])
    raise OptionError(
        f"{{beta}}: of {len(pool.energies)} proposals only {len(choice.indices)} were "
        f"accepted with a threshold of {options.beta}; lower it"
    )


def extend(draws: List[JointDraw], pool: ProposalPool, choice: Choice) -> None:
    """Each with the proposal that was chosen for it."""
    shares = torch.softmax(pool.log_weights, dim=0)
    ess = float(effective_sample_size(pool.log_weights))
    for draw, index in zip(draws, choice.indices.tolist()):
        draw.tokens = torch.cat([draw.tokens, pool.tokens[index]])
        draw.energy += float(pool.energies[index])
        draw.log_p += float(pool.log_p[index])
        draw.share *= float(shares[index])
        draw.ess = min(draw.ess, ess)
