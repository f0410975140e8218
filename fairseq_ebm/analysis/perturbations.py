"""What one changed token does to energies and to a language model, by its place. (Figure 2 of the
second paper; its words are tokens here.)"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, Dict, List, Optional

import numpy as np
import torch
from torch import Tensor

from ..data.tokenizers import NUM_SPECIAL, Tokenizer
from ..errors import UserError
from ..lm.checkpoint import BaseLM
from ..lm.scoring import token_log_probs
from ..models.energy import EnergyModel
from ..models.joint import ROWS

Judge = Callable[[Tensor], Tensor]  # windows (N, T), padded at the end -> (N,), float64

LM_ROWS = 64  # windows that a language model reads at once


def energy_judge(model: EnergyModel) -> Judge:
    device = next(model.parameters()).device

    @torch.inference_mode()
    def judge(windows: Tensor) -> Tensor:
        parts = windows.split(ROWS[device.type])
        return torch.cat([model.energy(part.to(device)).double().cpu() for part in parts])

    return judge


def nll_judge(lm: BaseLM) -> Judge:
    """-log P_LM of a token, in nats: the mean over whole windows, which hold no padding."""

    def judge(windows: Tensor) -> Tensor:
        read = windows.flip(1) if lm.right_to_left else windows
        parts = [token_log_probs(lm.model, part, 0, True).double() for part in read.split(LM_ROWS)]
        return -torch.cat(parts).mean(dim=1)

    return judge


def perturbed(
    windows: Tensor,
    positions: Sequence[int],
    replacements: Mapping[str, int],
    judges: Mapping[str, Judge],
    before: Mapping[str, Tensor],
) -> Iterator[Dict[str, Any]]:
    """A row for each perturbation of windows (W, T) at each position: every one of ``replacements``
    in the place of what stands there, and ``swap``.

    ``before``: what the judges say of the windows as they are, (W,) each. Changes are paired by
    window. Positions count from 0; in rows from 1.
    """
    for position in positions:
        changed = {name: replaced(windows, position, t) for name, t in replacements.items()}
        for name, others in {**changed, "swap": swapped(windows, position)}.items():
            row: Dict[str, Any] = {"perturbation": name, "position": position + 1}
            for judge, judged in judges.items():
                after = judged(others)
                row[judge] = mean(after)
                row[f"{judge}_change"] = mean(after - before[judge])
            yield row


def replaced(windows: Tensor, position: int, token: int) -> Tensor:
    """(W, T) -> (W, T)"""
    others = windows.clone()
    others[:, position] = token
    return others


def swapped(windows: Tensor, position: int) -> Tensor:
    """With the token after it; the last one with the token before it: (W, T) -> (W, T)"""
    last = windows.size(1) - 1
    neighbour = position + 1 if position < last else max(position - 1, 0)
    others = windows.clone()
    others[:, [position, neighbour]] = windows[:, [neighbour, position]]
    return others


def spread(positions: int, window: int) -> List[int]:
    """So many of a window's positions, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, window - 1, positions).round().astype(int)).tolist()


def by_frequency(windows: Tensor) -> List[int]:
    """The tokens of windows, the most frequent first; special symbols are left out."""
    counts = torch.bincount(windows.flatten())
    counts[:NUM_SPECIAL] = 0
    order = counts.argsort(descending=True, stable=True)
    return order[: int((counts > 0).sum())].tolist()


def first_name(tokens: Sequence[int], tokenizer: Tokenizer) -> Optional[int]:
    """The first of ``tokens`` that looks like an entity: three letters or more, the first a capital
    one."""
    for token in tokens:
        text = tokenizer.decode([token]).strip()
        if len(text) >= 3 and text.isalpha() and text[0].isupper():
            return token
    return None


def the_token(word: str, tokenizer: Tokenizer) -> int:
    """The one token that a word is, after a space or without one."""
    for encoded in tokenizer.encode([f" {word}", word]):
        if len(encoded) == 1 and encoded[0] != tokenizer.dictionary.unk():
            return int(encoded[0])
    raise UserError(f"--entity: '{word}' is not one token of the vocabulary; choose another word")


def mean(values: Tensor) -> Dict[str, Optional[float]]:
    """Of (N,), with its standard error, which a single value has not."""
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return {"mean": float(values.mean()), "standard_error": error}
