"""What torchrun and Slurm say to the processes that they start."""

import os
from typing import Tuple

from .errors import UserError

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
    present = [pair for pair in LAUNCHERS if all(name in os.environ for name in pair)]
    for rank, size in present[:1] if LAUNCHERS[0] in present else present:
        place = _place_in_array() if "ARRAY" in rank else int(os.environ[rank])
        index = index * int(os.environ[size]) + place
        shards *= int(os.environ[size])
    return index, shards


def _place_in_array() -> int:
    """Of this task among those of a Slurm array, ``--array=MIN-MAX:STEP``."""
    task, count, least, most, step = (
        int(os.environ.get(f"SLURM_ARRAY_TASK_{name}", default))
        for name, default in (("ID", ""), ("COUNT", ""), ("MIN", "0"), ("MAX", "-1"), ("STEP", "1"))
    )
    place, rest = divmod(task - least, max(1, step))
    even = most < least or least + step * (count - 1) <= most < least + step * count
    if rest or not even or not 0 <= place < count:
        problem = "the tasks of this array are not evenly spaced, so their parts are unknown"
        remedy = "give --num-shards and --shard-id"
        raise UserError(f"SLURM_ARRAY_TASK_ID={task}: {problem}; {remedy}")
    return place


def local_rank() -> int:
    """This process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or "0")
