"""Features of a causal decoder for windows that share a prefix, which is encoded once.

For energies: with gradients wherever torch records them, in training and in scoring alike.
"""

from typing import Any, Tuple

from torch import Tensor

from .layers import embed, finish, layers_of, positions


def shared_features(decoder: Any, windows: Tensor, shared: int) -> Tuple[Tensor, Tensor]:
    """For windows (B, M, T) of which the M in a row have the same first ``shared`` (s) tokens:
    features of the prefix (B, s, d) and of what follows it in each window (B, M, T - s, d).

    Equal to running the decoder on each window alone: it is causal, so the s positions are the
    same for all M. They share their dropout mask, too.
    """
    if not 0 < shared < windows.size(2):
        raise ValueError(f"{shared} shared tokens in windows of {windows.size(2)}")
    prefix = embed(decoder, windows[:, 0, :shared], positions(decoder, 0, shared))
    rest_length = windows.size(2) - shared
    rest = embed(decoder, windows[:, :, shared:], positions(decoder, shared, rest_length))
    for layer in layers_of(decoder):
        prefix, cache = layer.prefill(prefix)
        rest = layer.extend(rest, cache)
    return finish(decoder, prefix), finish(decoder, rest)


def plain_features(decoder: Any, windows: Tensor) -> Tensor:
    """Windows (N, T), each alone -> (N, T, d)."""
    x = embed(decoder, windows, positions(decoder, 0, windows.size(1)))
    for layer in layers_of(decoder):
        x, _ = layer.prefill(x)
    return finish(decoder, x)
