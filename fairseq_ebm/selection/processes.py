"""The processes that train one model together."""

from typing import List

import torch
from fairseq.distributed import utils as distributed
from torch import Tensor


def count() -> int:
    is_one = not torch.distributed.is_initialized()
    return 1 if is_one else int(distributed.get_data_parallel_world_size())


def rank() -> int:
    return 0 if count() == 1 else int(distributed.get_data_parallel_rank())


def sum_over_all(values: Tensor) -> None:
    """In place."""
    if count() > 1:
        distributed.all_reduce(values, group=distributed.get_data_parallel_group())


def union(ids: Tensor) -> Tensor:
    """All processes' ids (…,), each of which may have another number of them."""
    if count() == 1:
        return ids
    group = distributed.get_data_parallel_group()
    most = torch.tensor([len(ids)], device=ids.device)
    distributed.all_reduce(most, group=group, op="max")
    shared = torch.zeros(count(), int(most), dtype=ids.dtype, device=ids.device)
    shared[rank(), : len(ids)] = ids + 1
    sum_over_all(shared)
    return shared[shared > 0] - 1


def mean_over_those(values: List[Tensor], counts: bool) -> bool:
    """Makes each the mean over the processes whose values count; whether there are any."""
    if count() == 1:
        return counts
    flat = torch.cat([each.flatten() for each in values] + [values[0].new_ones(1)])
    flat = flat * float(counts)
    sum_over_all(flat)
    sizes = [each.numel() for each in values]
    for each, mean in zip(values, (flat[:-1] / flat[-1].clamp_min(1.0)).split(sizes)):
        each.copy_(mean.view_as(each))
    return bool(flat[-1] > 0)


def require_same(weights: List[Tensor]) -> None:
    """On all processes, to the last bit of a sum: or each would choose by a network of its own."""
    if count() == 1:
        return
    total = torch.stack([each.double().sum() for each in weights]).sum()
    ends = torch.stack([total, -total])
    group = distributed.get_data_parallel_group()
    distributed.all_reduce(ends, group=group, op="max")
    if bool(ends[0] != -ends[1]):
        raise RuntimeError("the weighting network differs between processes")
