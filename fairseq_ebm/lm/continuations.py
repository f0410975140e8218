"""log P of continuations that share their prefixes, which are encoded once; with gradients."""

from typing import Any, List

import torch
from fairseq.models import FairseqLanguageModel
from torch import Tensor

from .features import shared_features
from .layers import is_supported
from .product import ProductDecoder
from .scoring import after_eos, log_of_others, of_features, predictions


def continuation_log_probs(decoder: Any, windows: Tensor, prefix: int, shared: int) -> Tensor:
    """log P (B, M, T - p), float32, of the tokens after the first p of windows (B, M, T), of which
    the M in a row have the same first ``shared`` tokens; conditional on none being padding."""
    model, pad = FairseqLanguageModel(decoder), decoder.dictionary.pad()
    if 0 < shared < windows.size(2) - 1 and all(map(is_supported, _parts(decoder))):
        inputs = after_eos(model, windows[:, :, :-1].flatten(0, 1)).view_as(windows)
        features = _features(decoder, inputs, prefix, shared + 1)  # (B, M, T - p, d)
        targets = windows[:, :, prefix:].reshape(-1, 1)
        found = of_features(model, features.flatten(0, 2), targets)
    else:
        found = predictions(model, windows.flatten(0, 1), prefix)
    parts = [p.gather(1, tokens) - log_of_others(p, pad) for p, tokens in found]
    return torch.cat(parts).view(*windows.shape[:2], -1)


def _parts(decoder: Any) -> List[Any]:
    return list(decoder.parts) if isinstance(decoder, ProductDecoder) else [decoder]


def _features(decoder: Any, inputs: Tensor, first: int, shared: int) -> Tensor:
    """(B, M, T - first, d) of inputs (B, M, T) from position ``first`` on."""
    found = []
    for part in _parts(decoder):
        before, after = shared_features(part, inputs, shared)
        known = before[:, first:].unsqueeze(1).expand(-1, inputs.size(1), -1, -1)
        found.append(torch.cat([known, after[:, :, max(0, first - shared) :]], dim=2))
    return torch.cat(found, dim=-1)
