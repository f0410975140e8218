"""What one changed word or token does to energies and to a language model, by its place. (Figure 2
of the second paper.)"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set

import numpy as np
import torch
from torch import Tensor

from ..joint.model import rows_at_once
from ..lm.checkpoint import LoadedLM
from ..lm.scoring import token_log_probs
from ..models.energy import EnergyModel
from ..options import Record
from .units import Unit

Judge = Callable[[Tensor], Tensor]  # windows (N, T), padded at the end -> (N,), float64

LM_ROWS = 64  # windows that a language model reads at once


def energy_judge(model: EnergyModel) -> Judge:
    device = next(model.parameters()).device

    @torch.inference_mode()
    def judge(windows: Tensor) -> Tensor:
        parts = windows.split(rows_at_once(device))
        return torch.cat([model.energy(part.to(device)).double().cpu() for part in parts])

    return judge


def nll_judge(lm: LoadedLM) -> Judge:
    """-log P_LM of a token, in nats: the mean over all of a window that is no padding."""
    pad = lm.dictionary.pad()

    def judge(windows: Tensor) -> Tensor:
        read = turned(windows, pad) if lm.right_to_left else windows
        parts = [token_log_probs(lm.model, part, 0, True).double() for part in read.split(LM_ROWS)]
        counts = read.cpu() != pad
        return -torch.cat(parts).masked_fill(~counts, 0.0).sum(dim=1) / counts.sum(dim=1)

    return judge


def turned(windows: Tensor, pad: int) -> Tensor:
    """Windows (W, T) backwards; padding stays at the end."""
    return torch.stack([torch.cat([w[w != pad].flip(0), w[w == pad]]) for w in windows])


class Places(NamedTuple):
    """``position``, from 1, that rows tell; None: wherever the chosen unit stands. ``where`` (W,):
    the place in each window, from 0."""

    position: Optional[int]
    where: List[int]


def perturbed(
    windows: Tensor,
    places: Sequence[Places],
    unit: Unit,
    replacements: Mapping[str, Any],
    judges: Mapping[str, Judge],
    before: Mapping[str, Tensor],
) -> Iterator[Record]:
    """A row for each perturbation of windows (W, T) at each of the places: every one of
    ``replacements`` in the place of what stands there, and ``swap``, of neighbours.

    ``before``: what the judges say of the windows as they are, (W,) each. Changes are paired by
    window."""
    for position, where in places:
        changed = {name: unit.replaced(windows, where, u) for name, u in replacements.items()}
        for name, others in {**changed, "swap": unit.swapped(windows, where)}.items():
            row: Record = {"perturbation": name, "position": position}
            for judge, judged in judges.items():
                after = judged(others)
                row[judge] = mean(after)
                row[f"{judge}_change"] = mean(after - before[judge])
            yield row


def summary(rows: Sequence[Mapping[str, Any]], judges: Sequence[str]) -> List[Record]:
    """Of each perturbation, the mean change by judge over all positions, and the position where the
    energy changes most."""
    summaries: List[Record] = []
    for name in dict.fromkeys(row["perturbation"] for row in rows):
        own = [row for row in rows if row["perturbation"] == name]
        most = max(own, key=lambda row: abs(row["energy_change"]["mean"]))
        changes = {j: sum(row[f"{j}_change"]["mean"] for row in own) / len(own) for j in judges}
        at = {"most": most["energy_change"]["mean"], "most_at": most["position"]}
        summaries.append({"perturbation": name, **changes, **at})
    return summaries


def spread(positions: int, window: int) -> List[int]:
    """So many of a window's positions, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, window - 1, positions).round().astype(int)).tolist()


def everywhere(positions: Sequence[int], windows: Tensor) -> List[Places]:
    """The same positions, from 0, in all windows (W, T)."""
    return [Places(position + 1, [position] * len(windows)) for position in positions]


def usual(unit: Unit, windows: Tensor) -> Record:
    """What is put in where nobody chooses: the most frequent unit that looks like an entity, and
    the most frequent one; of letters and digits, if any is."""
    units = unit.by_frequency(windows)
    texts = [unit.text(each).strip() for each in units]
    entity = next((i for i, text in enumerate(texts) if _is_name(text, set(texts))), None)
    common = next((i for i, text in enumerate(texts) if text.isalnum()), 0 if texts else None)
    chosen = {"entity": entity, "common": common}
    return {name: units[i] for name, i in chosen.items() if i is not None}


def _is_name(text: str, others: Set[str]) -> bool:
    """Three letters or more, the first a capital one, and not the beginning of a sentence alone."""
    is_capitalised = len(text) >= 3 and text.isalpha() and text[0].isupper()
    return is_capitalised and text.lower() not in others


def mean(values: Tensor) -> Dict[str, Optional[float]]:
    """Of (N,), with its standard error, which a single value has not."""
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return {"mean": float(values.mean()), "standard_error": error}
