"""Flags of programs that work on many devices, processes and machines."""

import argparse
from typing import Tuple

import torch

from ..errors import UserError
from ..launchers import launched, local_rank


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


def add_memory_flag(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--sampling-memory",
        type=float,
        metavar="GIB",
        help="what samples in hand may take (default: 24 on a GPU, 1 on a CPU); how work is cut "
        "follows from it, and with that the last bit of what is computed, so it is recorded",
    )


def shard(arguments: argparse.Namespace) -> Tuple[int, int]:
    """(shard, shards): from the flags, else from the launcher, else the whole."""
    index, shards = arguments.shard_id, arguments.num_shards
    if (index is None) != (shards is None):
        raise UserError("--shard-id and --num-shards: give both or neither")
    if index is None:
        index, shards = launched()
    if not 0 <= index < shards:
        raise UserError(f"--shard-id: {index} is not one of {shards} shards (0 to {shards - 1})")
    return index, shards


def device(arguments: argparse.Namespace) -> torch.device:
    """Each process takes its own GPU."""
    if arguments.cpu or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", local_rank() % torch.cuda.device_count())


def precision(arguments: argparse.Namespace) -> str:
    if arguments.fp16 and arguments.bf16:
        raise UserError("--fp16: --bf16 is given too; drop one")
    return "fp16" if arguments.fp16 else "bf16" if arguments.bf16 else "fp32"


def require_positions(flag: str, path: str, positions: int, window: int) -> None:
    """Or texts of ``window`` tokens are longer than a model reads."""
    if window > positions:
        raise UserError(f"{flag}: {path} reads {positions} tokens; windows have {window}")
