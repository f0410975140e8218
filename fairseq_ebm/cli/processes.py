"""Flags of programs that work on many devices, processes and machines."""

import argparse
import os
from typing import Tuple

import torch

from ..errors import UserError

# What launchers tell a process: (rank, processes).
LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),  # torchrun
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


def add_shard_flags(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--num-shards",
        type=int,
        metavar="N",
        help="do a part of the work, 1/N (default: from torchrun or Slurm, else all)",
    )
    parser.add_argument("--shard-id", type=int, metavar="I", help="which part, from 0")


def add_precision_flags(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--cpu", action="store_true", help="use no GPU even if there is one")
    parser.add_argument("--bf16", action="store_true", help="the model in bfloat16")
    parser.add_argument("--fp16", action="store_true", help="the model in float16; needs a GPU")


def shard(arguments: argparse.Namespace) -> Tuple[int, int]:
    """(shard, shards): from the flags, else from the launcher, else the whole."""
    index, shards = arguments.shard_id, arguments.num_shards
    if (index is None) != (shards is None):
        raise UserError("--shard-id and --num-shards: give both or neither")
    if index is None:
        index, shards = _launched()
    if not 0 <= index < shards:
        raise UserError(f"--shard-id: {index} is not one of {shards} shards (0 to {shards - 1})")
    return index, shards


def _launched() -> Tuple[int, int]:
    """An array of tasks may run several processes each; both counts multiply."""
    index, shards = 0, 1
    if all(name in os.environ for name in LAUNCHERS[0]):
        names = LAUNCHERS[:1]
    else:
        names = tuple(pair for pair in LAUNCHERS[1:] if all(n in os.environ for n in pair))
    for rank, size in names:
        start = int(os.environ.get("SLURM_ARRAY_TASK_MIN", "0")) if "ARRAY" in rank else 0
        index = index * int(os.environ[size]) + int(os.environ[rank]) - start
        shards *= int(os.environ[size])
    return index, shards


def device(arguments: argparse.Namespace) -> torch.device:
    """Each process takes its own GPU."""
    if arguments.cpu or not torch.cuda.is_available():
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or "0")
    return torch.device("cuda", local % torch.cuda.device_count())


def precision(arguments: argparse.Namespace) -> str:
    if arguments.fp16 and arguments.bf16:
        raise UserError("--fp16: --bf16 is given too; drop one")
    return "fp16" if arguments.fp16 else "bf16" if arguments.bf16 else "fp32"
