"""``--path base.pt:energy.pt*0.5:expert.pt*0.4``: several models as one distribution,

    P(x) ∝ P_LM(x) · Π_i P_i(x)^w_i · exp(-Σ_j λ_j E_j(x))

of which P_LM, the language model without a weight, proposes. All else is one energy,

    E(x) = Σ_j λ_j E_j(x) - Σ_i w_i log P_i(x),

over the whole window: what depends on the prefix alone is in Z as well, and drops out.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from fairseq.models import FairseqLanguageModel
from torch import Tensor

from ..data.options import HUGGING_FACE
from ..errors import UserError
from ..lm.checkpoint import read_checkpoint
from ..lm.continuations import continuation_log_probs
from ..lm.hugging_face import folder_of
from ..lm.scoring import token_log_probs
from ..models.checkpoint import is_energy
from .model import EnergyFunction

FLAG = "--path"


@dataclass(frozen=True)
class Part:
    """A model and its weight; None: none was given."""

    path: Path
    weight: Optional[float] = None


@dataclass(frozen=True)
class Formula:
    base: Path
    energies: Tuple[Part, ...] = ()  # λ_j E_j
    experts: Tuple[Part, ...] = ()  # P_i^w_i

    @property
    def is_plain(self) -> bool:
        """Whether it is a language model and at most one energy as it is."""
        return not self.experts and [part.weight for part in self.energies] in ([], [1.0])

    @property
    def paths(self) -> List[Path]:
        return [self.base, *(part.path for part in (*self.energies, *self.experts))]

    @property
    def weights(self) -> Tuple[float, ...]:
        """Of the energies, then of the experts."""
        return tuple(weight_of(part) for part in (*self.energies, *self.experts))

    def weighted(self, weights: Sequence[float]) -> "Formula":
        """The same with other weights, in that order."""
        count = len(self.energies)
        pairs = zip((*self.energies, *self.experts), weights)
        parts = [replace(part, weight=float(weight)) for part, weight in pairs]
        return replace(self, energies=tuple(parts[:count]), experts=tuple(parts[count:]))

    @property
    def in_words(self) -> str:
        """ "P_LM · P_1^-0.3 · exp(-0.5 E_1 - 2 E_2)" """
        powers = [f"P_{i}^{weight_of(part):g}" for i, part in enumerate(self.experts, 1)]
        terms = [_term(weight_of(part), i) for i, part in enumerate(self.energies, 1)]
        exponent = " ".join(terms)
        exponent = exponent[2:] if exponent.startswith("+") else exponent.replace("- ", "-", 1)
        return " · ".join(["P_LM", *powers, *([f"exp({exponent})"] if terms else [])])


def weight_of(part: Part) -> float:
    return 1.0 if part.weight is None else part.weight


def _term(weight: float, number: int) -> str:
    factor = "" if abs(weight) == 1 else f"{abs(weight):g} "
    return f"{'+' if weight < 0 else '-'} {factor}E_{number}"


def parse(path: str) -> Formula:
    """``path`` as a user gives it: models in any order, joined by colons."""
    parts = [_part(name) for name in split_names(path)]
    files = [part for part in parts if folder_of(part.path) is None]
    for part in files:
        if not part.path.is_file():
            raise UserError(f"{FLAG}: {part.path}: no such file")
    energies = [part for part in files if is_energy(part.path)]
    models = [part for part in parts if part not in energies]
    bases = [part for part in models if part.weight is None]
    if len(bases) != 1:
        for part in models if len(models) > 1 else ():
            if part in files:  # it may be no checkpoint at all, which its own error says
                read_checkpoint(part.path, FLAG)
        raise UserError(f"{FLAG}: {path}: {_counted(len(models), len(bases), len(energies))}")
    experts = tuple(part for part in models if part is not bases[0])
    kept = tuple(replace(part, weight=weight_of(part)) for part in energies)
    return Formula(bases[0].path, kept, experts)


def _counted(models: int, bases: int, energies: int) -> str:
    found = f"language models: {models}, energies: {energies}"
    if models and not bases:
        return f"{found}; the one that proposes has no weight, others have (expert.pt*0.4)"
    if bases > 1:
        return f"{found}; give one language model, or the others weights (expert.pt*0.4)"
    return f"{found}; give one language model, and energies or none"


def split_names(path: str) -> List[str]:
    """At colons, but for that of hf:FOLDER."""
    names: List[str] = []
    before = ""
    for part in path.split(os.pathsep):
        if f"{part}:" == HUGGING_FACE and not before:
            before = HUGGING_FACE
        elif part:
            names.append(before + part)
            before = ""
    return names


def _part(name: str) -> Part:
    path, star, number = name.rpartition("*")
    if not star:
        return Part(Path(name))
    try:
        weight = float(number)
    except ValueError:
        return Part(Path(name))  # a star in a name
    if not math.isfinite(weight):
        raise UserError(f"{FLAG}: {name}: {number} is no weight")
    return Part(Path(path), weight)


class Expert:
    """-log P (W, n) of windows (W, n, T) by a language model, of which no symbol is padding."""

    def __init__(self, model: FairseqLanguageModel) -> None:
        self.model = model

    @torch.inference_mode()
    def __call__(self, windows: Tensor, shared: int) -> Tensor:
        prefix = shared if shared < windows.size(2) else 0
        after = continuation_log_probs(self.model.decoder, windows, prefix, prefix)
        found = -after.double().sum(dim=2)
        if prefix:
            before = token_log_probs(self.model, windows[:, 0, :prefix], 0, without_padding=True)
            found = found - before.to(found).sum(dim=1, keepdim=True)
        return found


class WeightedSum:
    """E of a formula: ``weights`` (K,) of ``terms``."""

    def __init__(self, terms: Sequence[EnergyFunction], weights: Sequence[float]) -> None:
        self.terms, self.weights = list(terms), torch.tensor(weights, dtype=torch.float64)

    def __call__(self, windows: Tensor, shared: int) -> Tensor:
        found = self.each(windows, shared)
        return torch.tensordot(self.weights.to(found.device), found, dims=1)

    def of_prefix(self, prefixes: Tensor) -> Tensor:
        """What the experts say of prefixes (W, p) alone: (W,). It drops out of probabilities, and
        is left out of energies that are shown."""
        pairs = [(w, t) for w, t in zip(self.weights, self.terms) if isinstance(t, Expert)]
        found = torch.zeros(len(prefixes), dtype=torch.float64)
        for weight, term in pairs if prefixes.size(1) else ():
            found = found + weight * term(prefixes.unsqueeze(1), 0).squeeze(1).cpu()
        return found

    def each(self, windows: Tensor, shared: int) -> Tensor:
        """(W, n, T) -> (K, W, n), float64"""
        return torch.stack([term(windows, shared).double() for term in self.terms])


def energy_of(formula: Formula, energies: Sequence[Any], experts: Sequence[Any]) -> Any:
    """E of a formula's models, in its order; None without any."""
    if formula.is_plain:
        return energies[0] if energies else None
    terms = [*energies, *map(Expert, experts)]
    return WeightedSum(terms, formula.weights)


def record_of(formula: Formula, known: Sequence[Any]) -> Dict[str, Any]:
    """For ``provenance``; ``known``: the energies and the experts, loaded, in their order."""
    kinds = ["energy"] * len(formula.energies) + ["language_model"] * len(formula.experts)
    terms = [
        {"kind": kind, "weight": weight, "sha256": each.sha256, "architecture": each.architecture}
        for kind, weight, each in zip(kinds, formula.weights, known)
    ]
    return {"is": formula.in_words, "terms": terms}
