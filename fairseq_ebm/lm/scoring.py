"""log P_LM of given text, token by token, by fairseq's own forward pass."""

import math
from collections.abc import Iterator
from typing import Any, List, Tuple

import torch
import torch.nn.functional as F
from fairseq.models import FairseqDecoder, FairseqIncrementalDecoder
from torch import Tensor

from ..errors import UserError
from ..numerics.detectors import TokenStatistics, token_statistics

LOGITS_AT_ONCE = 1 << 25  # numbers: 128 MB in float32


@torch.inference_mode()
def token_log_probs(
    model: Any, windows: Tensor, prefix_length: int, without_padding: bool = False
) -> Tensor:
    """log P_LM (B, T - p), float32, of the tokens of ``windows`` (B, T) after the first p.

    ``without_padding``: conditional on no token being padding, which is never drawn (the sampler's
    log q).
    """
    scores: List[Tensor] = []
    for log_probs, tokens in predictions(model, windows, prefix_length):
        if without_padding:
            log_probs = log_probs - log_of_others(log_probs, model.decoder.dictionary.pad())
        scores.append(log_probs.gather(1, tokens))
    return _require_numbers(torch.cat(scores)).view(len(windows), -1).cpu()


@torch.inference_mode()
def text_statistics(model: Any, windows: Tensor, prefix_length: int) -> TokenStatistics:
    """Of the tokens of ``windows`` (B, T) after the first p: four of (B, T - p), on the CPU.

    P_LM is conditional on no symbol being padding; values at padding have no meaning.
    """
    pad = model.decoder.dictionary.pad()
    parts: List[TokenStatistics] = []
    for log_probs, tokens in predictions(model, windows, prefix_length):
        log_probs = log_probs - log_of_others(log_probs, pad)
        log_probs[:, pad] = -torch.inf
        parts.append(token_statistics(log_probs, tokens))
    _require_numbers(torch.cat([part.log_p for part in parts]))
    joined = (torch.cat(values).view(len(windows), -1).cpu() for values in zip(*parts))
    return TokenStatistics(*joined)


def predictions(model: Any, windows: Tensor, prefix_length: int) -> Iterator[Tuple[Tensor, Tensor]]:
    """log P_LM (A, V), float32, and the tokens (A, 1) that it predicts: those of ``windows`` (B, T)
    after the first p, row by row.

    The model reads </s>, then the window. Only continuations pass through the output layer, in
    parts of at most ``LOGITS_AT_ONCE`` logits.
    """
    decoder, windows = model.decoder, windows.to(next(model.parameters()).device)
    inputs = after_eos(model, windows[:, :-1])
    has_output_layer = _has_output_layer(decoder)
    outputs = decoder.extract_features(inputs, None) if has_output_layer else decoder(inputs)
    features = outputs[0][:, prefix_length:].flatten(0, 1)  # (B * (T - p), d)
    targets = windows[:, prefix_length:].reshape(-1, 1)

    yield from of_features(model, features, targets, has_output_layer)


def of_features(
    model: Any, features: Tensor, targets: Tensor, has_output_layer: bool = True
) -> Iterator[Tuple[Tensor, Tensor]]:
    """The same from features (A, d), or from what the decoder gives in their place, and the tokens
    (A, 1) that they predict."""
    decoder = model.decoder
    at_once = max(1, LOGITS_AT_ONCE // len(decoder.dictionary))
    for part, target in zip(features.split(at_once), targets.split(at_once)):
        logits = decoder.output_layer(part.unsqueeze(1)) if has_output_layer else part.unsqueeze(1)
        log_probs = model.get_normalized_probs((logits, None), log_probs=True, sample=None)
        yield log_probs[:, 0].float(), target


@torch.inference_mode()
def next_log_probs(model: Any, prefixes: Tensor) -> Tensor:
    """log P_LM (B, V), float32, of every symbol after ``prefixes`` (B, p), conditional on it not
    being padding; -inf for padding."""
    logits, _ = model.decoder(after_eos(model, prefixes).to(next(model.parameters()).device))
    log_probs = model.get_normalized_probs((logits[:, -1:], None), log_probs=True, sample=None)
    log_probs, pad = log_probs[:, 0].float(), model.decoder.dictionary.pad()
    log_probs = log_probs - log_of_others(log_probs, pad)
    log_probs[:, pad] = -torch.inf
    return _require_numbers(log_probs).cpu()


def after_eos(model: Any, tokens: Tensor) -> Tensor:
    """Tokens (B, T) as the model reads them: (B, 1 + T)."""
    return F.pad(tokens, (1, 0), value=model.decoder.dictionary.eos())


def _require_numbers(log_probs: Tensor) -> Tensor:
    if bool(torch.isnan(log_probs).any()):
        raise UserError(
            "the language model's logits are NaN or infinite; a higher precision may help"
        )
    return log_probs


def log_of_others(log_probs: Tensor, symbol: int) -> Tensor:
    """log(1 - P(symbol)): (A, V) -> (A, 1). Where it is likely, 1 - P has few digits left: there
    the others are summed."""
    log_p = log_probs[:, symbol]
    likely = log_p > math.log(0.5)
    found = torch.log1p(-log_p.masked_fill(likely, -torch.inf).exp())
    if bool(likely.any()):
        others = log_probs[likely].index_fill(
            1, torch.tensor([symbol]).to(likely.device), -torch.inf
        )
        found = found.index_put((likely.nonzero().squeeze(1),), others.logsumexp(dim=1))
    return found.unsqueeze(1)


def _has_output_layer(decoder: Any) -> bool:
    """Whether it has features before its logits. The base classes' ``extract_features`` raises."""
    bases = (FairseqDecoder.extract_features, FairseqIncrementalDecoder.extract_features)
    return type(decoder).extract_features not in bases
