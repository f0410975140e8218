"""Flags of the joint sampler in fairseq's programs, and what is looked at before it runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Callable, List, Optional

import torch
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II

from ..data.windows import WindowOptions, Windows
from ..errors import OptionError, UserError
from ..files import sha256_of
from ..joint.checkpoints import doubts, split_path
from ..joint.rules import RULES
from ..launchers import launched, local_rank
from ..lm.checkpoint import read_config, reads_right_to_left
from ..models.checkpoint import NEGATIVES, WINDOW, read_energy, trained_window
from ..negatives.store import Manifest, manifest_of
from .prompts import Prompts

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


@dataclass
class JointGenerationConfig(FairseqDataclass):
    """Flags of the joint sampler; fairseq's own that it heeds stand at the end."""

    joint_samples: int = field(
        default=1000, metadata={"help": "generation: proposals of the language model for a prompt"}
    )
    joint_sampler: ChoiceEnum(list(RULES)) = field(  # type: ignore[valid-type]
        default="snis",
        metadata={
            "help": "generation: how --beam draws are made of the proposals: snis (importance "
            "resampling), metropolis (independent Metropolis-Hastings), rejection (quasi-rejection)"
        },
    )
    rejection_beta: Optional[float] = field(
        default=None,
        metadata={
            "help": "generation: with --joint-sampler rejection, accept a proposal with "
            "probability exp(-E) / BETA; higher ones are nearer to the joint model and accept less"
        },
    )
    window: Optional[int] = field(
        default=None,
        metadata={
            "help": "generation: tokens that the models see at once, prompt and continuation "
            "(default: what the energy was trained on; without an energy 160)"
        },
    )
    stride: Optional[int] = field(
        default=None,
        metadata={
            "help": "generation: tokens between the windows of --gen-subset (default: --window)"
        },
    )
    max_windows: Optional[int] = field(
        default=None, metadata={"help": "generation: so many windows, chosen at random"}
    )
    generation_length: Optional[int] = field(
        default=None,
        metadata={"help": "generation: new tokens (default: what the window leaves)"},
    )
    chunk_length: Optional[int] = field(
        default=None,
        metadata={"help": "generation: make longer text in chunks of so many tokens"},
    )
    joint_results_path: Optional[str] = field(
        default=None, metadata={"help": "generation: write draws and whole pools as JSON lines"}
    )
    sampling_memory: Optional[float] = field(
        default=None,
        metadata={
            "help": "generation: GiB that proposals in hand may take (default: 24 on a GPU, 1 on a "
            "CPU)"
        },
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


def require_fitting(cfg: JointGenerationConfig, data: Path) -> None:
    """What fairseq does not look at before it loads --path."""
    lm_path, energy_path = split_path(cfg.path or "")
    if energy_path is None and cfg.joint_sampler != "snis":
        raise UserError(
            f"--joint-sampler: {cfg.joint_sampler} chooses by an energy, and --path has none"
        )
    if cfg.fp16 and cfg.cpu:
        raise UserError("--fp16: needs a GPU; on the CPU use --bf16 or neither")
    if reads_right_to_left(read_config(lm_path, data, "--path")):
        raise UserError(f"--path: {lm_path}: reads right to left, and cannot continue a text")
    sources = [m.source.get("language_model", {}) for m in _negatives(energy_path)]
    if any(source.get("sha256") != sha256_of(lm_path) for source in sources):
        logger.warning(
            f"--path: {energy_path}: not trained on negatives of {lm_path} alone: together they "
            "are no model of the text"
        )


def _negatives(energy_path: Optional[Path]) -> List[Manifest]:
    """What the energy was trained on; without an energy, nothing."""
    if energy_path is None:
        return []
    negatives = read_energy(energy_path, "--path")["task_state"][NEGATIVES]
    return [manifest_of(values, str(energy_path)) for values in negatives]


def doubts_of(cfg: JointGenerationConfig) -> Callable[[int], List[str]]:
    """Tokens of a prompt → why not to trust the energy there."""
    negatives = _negatives(split_path(cfg.path or "")[1])
    precision = "fp16" if cfg.fp16 else "bf16" if cfg.bf16 else "fp32"
    return partial(doubts, negatives, precision)


def take_part(cfg: JointGenerationConfig) -> None:
    """Each process of torchrun or Slurm does its part, unless --num-shards chooses."""
    if cfg.num_shards != 1:
        return
    index, shards = launched()
    if shards == 1:
        return
    if cfg.results_path:
        raise UserError(
            f"--results-path: {shards} processes would write one file; use --joint-results-path, "
            "or give each its own with --num-shards and --shard-id"
        )
    cfg.num_shards, cfg.shard_id = shards, index
    if cfg.joint_results_path:
        path = Path(cfg.joint_results_path)
        part = f"{path.stem}.shard-{index}-of-{shards}{path.suffix}"
        cfg.joint_results_path = str(path.with_name(part))
    if torch.cuda.is_available() and not cfg.cpu:
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())


def window_of(cfg: JointGenerationConfig) -> int:
    """Tokens that the models see at once: --window, or what the energy was trained on."""
    return cfg.window or trained_window(_negatives(split_path(cfg.path or "")[1]), WINDOW)


def prompts_of_windows(
    cfg: JointGenerationConfig, data: Path, subset: str, dictionary: Dictionary
) -> Prompts:
    """The beginnings of the windows of a split; of these, a shard takes every so many."""
    window = window_of(cfg)
    stride = window if cfg.stride is None else cfg.stride
    for value, least, flag in (
        (stride, 1, "--stride"),
        (cfg.max_windows, 1, "--max-windows"),
        (cfg.prefix_size, 0, "--prefix-size"),
    ):
        if value is not None and value < least:
            raise UserError(f"{flag}: {value} is below {least}")
    if cfg.prefix_size >= window:
        raise UserError(
            f"--prefix-size: {cfg.prefix_size} tokens fill the window of {window} (--window)"
        )
    if not 0 <= cfg.shard_id < cfg.num_shards:
        raise UserError(f"--shard-id: {cfg.shard_id} is not one of {cfg.num_shards} (--num-shards)")
    options = WindowOptions(
        window, stride, (cfg.prefix_size,), cfg.max_windows, cfg.generation_seed
    )
    windows = Windows(data, subset, options)
    chosen = range(cfg.shard_id, len(windows), cfg.num_shards)
    if not chosen:
        raise UserError(f"--num-shards: {cfg.num_shards} shards of {len(windows)} windows")
    texts = [torch.tensor(windows.tokens(i), dtype=torch.long) for i in chosen]
    prompts = [text[: cfg.prefix_size] for text in texts]
    ids = [int(windows.numbers[i]) for i in chosen]
    return Prompts(ids, prompts, texts, dictionary.pad())
