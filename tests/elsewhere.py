"""A device that the machine lacks: tensors there have shapes, types and a place, but no numbers.
What mixes places is an error, as it would be on a GPU; numbers that are asked for are made up."""

from contextlib import contextmanager, nullcontext
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves

ELSEWHERE = torch.device("meta")  # which every build of torch has
aten = torch.ops.aten
NUMBERS = (aten._local_scalar_dense.default, aten.item.default, aten.is_nonzero.default)
VERDICTS = (aten.allclose.default, aten.equal.default)
COPIES = (aten.copy_.default, aten.type_as.default, aten.to.other)
BY_INDEX = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)


class Elsewhere(FakeTensorMode):
    """``truth``: the answer to every question of yes or no. Other numbers are 1; ``nonzero`` finds
    every place, ``unique`` nothing twice."""

    def __init__(self, truth):
        super().__init__(allow_non_fake_inputs=True)
        self.truth = truth

    def dispatch(self, function, types, args=(), kwargs=None):
        _require_one_place(function, args, kwargs or {})
        if function is aten.detach_.default and not isinstance(args[0], FakeTensor):
            return FakeTensor(self, args[0], ELSEWHERE)  # of torch.tensor(…, device=ELSEWHERE)
        if args and isinstance(args[0], FakeTensor):
            if function in VERDICTS or (function in NUMBERS and args[0].dtype == torch.bool):
                return self.truth
            if function in MADE_UP:
                return MADE_UP[function](args[0])
        return super().dispatch(function, types, args, kwargs)


def _one(given):
    return 1.0 if given.is_floating_point() else 1


def _every_place(given):
    return given.new_zeros((given.numel(), given.dim()), dtype=torch.long)


def _unique(given):
    count = given.numel()
    kinds = ((count, given.dtype), (given.shape, torch.long), (count, torch.long))
    return tuple(given.new_zeros(shape, dtype=kind) for shape, kind in kinds)


MADE_UP = {
    aten._local_scalar_dense.default: _one,
    aten.item.default: _one,
    aten.is_nonzero.default: lambda _: True,
    aten.nonzero.default: _every_place,
    aten._unique2.default: _unique,
}


def _require_one_place(function, args, kwargs):
    """torch's own check leaves out embeddings and what is on "meta". A single number on the CPU
    meets all; tensors may be read and written by indices on the CPU."""
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    if function in COPIES:
        return
    if function in BY_INDEX:
        tensors = [each for each in tensors if each is args[0] or each.device.type != "cpu"]
    alone = function not in (aten.embedding.default, aten._embedding_bag.default)
    places = {each.device for each in tensors if each.dim() or not (alone and each.is_cpu)}
    if len(places) > 1:
        raise RuntimeError(f"{function}: not on the same device, but {sorted(map(str, places))}")


def _moving(moved):
    """``nn.Module._apply`` by replacing parameters: torch cannot swap those for others without
    numbers. ``moved``: what was replaced by what, as parameters may be tied."""

    def move(module, fn, recurse=True):
        for child in module.children():
            child._apply(fn)
        with torch.no_grad():
            for name, p in module._parameters.items():
                if p is not None and (id(p), fn) not in moved:
                    moved[id(p), fn] = p, nn.Parameter(fn(p), p.requires_grad)
                module._parameters[name] = None if p is None else moved[id(p), fn][1]
            for name, buffer in module._buffers.items():
                module._buffers[name] = None if buffer is None else fn(buffer)
        return module

    return move


@contextmanager
def elsewhere(truth=False):
    """What is made within has no numbers; yields the mode, whose ``truth`` may change."""
    shape = mock.patch("torch.onnx.operators.shape_as_tensor", lambda tensor: tuple(tensor.shape))
    moving = mock.patch.object(nn.Module, "_apply", _moving({}))
    autocast = mock.patch("torch.autocast", lambda *_, **__: nullcontext())  # has no "meta"
    with shape, moving, autocast, Elsewhere(truth) as mode:
        yield mode
