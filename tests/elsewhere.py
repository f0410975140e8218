"""A device that is not the CPU, without one: tensors there have shapes, types and a place, but no
numbers. What mixes places is an error, as it would be on a GPU; numbers asked for are made up."""

from contextlib import contextmanager
from unittest import mock

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

ELSEWHERE = torch.device("meta")  # every build of torch has it
aten = torch.ops.aten
NUMBERS = (aten._local_scalar_dense.default, aten.item.default)
VERDICTS = (aten.allclose.default, aten.equal.default)


class Elsewhere(FakeTensorMode):
    """``truth``: what questions of yes or no are answered; other numbers are 1. All that may not
    be 0 is not."""

    def __init__(self, truth):
        super().__init__(allow_non_fake_inputs=True)
        self.truth = truth

    def dispatch(self, function, types, args=(), kwargs=None):
        if function in NUMBERS and isinstance(args[0], FakeTensor):
            kind = args[0].dtype
            return self.truth if kind == torch.bool else 1.0 if kind.is_floating_point else 1
        if function in VERDICTS:
            return self.truth
        if function is aten.nonzero.default and isinstance(args[0], FakeTensor):
            places = torch.zeros(args[0].numel(), args[0].dim(), dtype=torch.long, device="meta")
            return FakeTensor(self, places, args[0].device)
        if function is aten._unique2.default and isinstance(args[0], FakeTensor):
            given = args[0]
            shapes = (
                (given.numel(), given.dtype),
                (given.shape, torch.long),
                (given.numel(), torch.long),
            )
            return tuple(given.new_zeros(shape, dtype=kind) for shape, kind in shapes)
        return super().dispatch(function, types, args, kwargs)


def _move(module, fn, recurse=True):
    """``nn.Module._apply`` by replacing parameters: torch cannot swap those for others without
    numbers."""
    for child in module.children():
        child._apply(fn)
    with torch.no_grad():
        for name, p in module._parameters.items():
            if p is not None:
                module._parameters[name] = nn.Parameter(fn(p), p.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else fn(buffer)
    return module


@contextmanager
def elsewhere(truth=False):
    """What is made within has no numbers; yields the mode, whose ``truth`` may change."""
    shape = mock.patch("torch.onnx.operators.shape_as_tensor", lambda tensor: tuple(tensor.shape))
    moving = mock.patch.object(nn.Module, "_apply", _move)
    with shape, moving, Elsewhere(truth) as mode:
        yield mode
