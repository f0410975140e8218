"""What torchrun and Slurm tell the processes that they start."""

import os
from typing import Tuple

# (rank, processes)
LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),  # torchrun
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


def launched() -> Tuple[int, int]:
    """(shard, shards) of this process; (0, 1) if it was started alone.

    An array of tasks may run several processes each; both counts multiply.
    """
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


def local_rank() -> int:
    """This process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or "0")
