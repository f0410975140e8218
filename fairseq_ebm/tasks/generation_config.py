"""Flags of the joint sampler in fairseq's programs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Optional

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II

from ..errors import OptionError, UserError
from ..joint.rules import RULES
from ..options import fairseq_flag

logger = logging.getLogger(__name__)

# What is called otherwise in Python.
FLAGS = {
    "num_draws": "--beam", "length": "--generation-length", "rule": "--joint-sampler",
    "beta": "--rejection-beta", "top_k": "--sampling-topk", "top_p": "--sampling-topp",
}  # fmt: skip

# fairseq's flags of generation that the joint sampler has no use for, with their defaults.
UNUSED = {
    "max_len_a": 0, "max_len_b": 200, "min_len": 1, "match_source_len": False, "lenpen": 1,
    "unkpen": 0, "no_repeat_ngram_size": 0, "lm_path": None, "prefix_allowed_tokens_fn": None,
}  # fmt: skip


def _flag(default: Any, help: str) -> Any:
    return fairseq_flag(default, f"generation: {help}")


@dataclass
class JointGenerationConfig(FairseqDataclass):
    """Flags of the joint sampler; fairseq's own that it heeds stand at the end."""

    joint_samples: int = _flag(1000, "proposals of the language model for a prompt")
    joint_sampler: ChoiceEnum(list(RULES)) = _flag(  # type: ignore[valid-type]
        "snis",
        "how --beam draws are made of the proposals: snis (importance resampling), metropolis "
        "(independent Metropolis-Hastings), rejection (quasi-rejection)",
    )
    rejection_beta: Optional[float] = _flag(
        None,
        "with --joint-sampler rejection, accept a proposal with probability exp(-E) / BETA; "
        "higher ones are nearer to the joint model and accept less",
    )
    window: Optional[int] = _flag(
        None,
        "tokens that the models see at once, prompt and continuation (default: what the energy was "
        "trained on; without an energy 160)",
    )
    stride: Optional[int] = _flag(
        None, "tokens between the windows of --gen-subset (default: --window)"
    )
    max_windows: Optional[int] = _flag(None, "so many windows, chosen at random")
    generation_length: Optional[int] = _flag(None, "new tokens (default: what the window leaves)")
    chunk_length: Optional[int] = _flag(None, "make longer text in chunks of so many tokens")
    joint_results_path: Optional[str] = _flag(None, "write draws and whole pools as JSON lines")
    sampling_memory: Optional[float] = _flag(
        None, "GiB that proposals in hand may take (default: 24 on a GPU, 1 on a CPU)"
    )
    min_p: Optional[float] = _flag(
        None, "propose symbols with at least this share of the likeliest one's probability"
    )
    generation_seed: int = II("common.seed")
    gen_subset: str = II("dataset.gen_subset")
    num_shards: int = II("dataset.num_shards")
    shard_id: int = II("dataset.shard_id")
    prefix_size: int = II("generation.prefix_size")
    path: Optional[str] = II("common_eval.path")
    results_path: Optional[str] = II("common_eval.results_path")
    quiet: bool = II("common_eval.quiet")
    cpu: bool = II("common.cpu")
    fp16: bool = II("common.fp16")
    bf16: bool = II("common.bf16")


@contextmanager
def named_by_flags() -> Iterator[None]:
    """Errors about options name fairseq's flags."""
    try:
        yield
    except OptionError as error:
        raise error.in_flags(FLAGS) from None


def refuse_unused(args: Any) -> None:
    """fairseq's flags of generation that mean nothing to a sampler of fixed length."""
    if getattr(args, "constraints", None):
        raise UserError("--constraints: not possible with the joint sampler")
    for name, default in UNUSED.items():
        if getattr(args, name, default) != default:
            logger.warning(f"--{name.replace('_', '-')}: the joint sampler does not use it")
