"""The models of ``--path``, loaded, and fit to work together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch

from ..errors import UserError
from ..lm.checkpoint import Loaded, LoadedLM, load_base_lm
from ..lm.sampler import Sampler
from ..models.checkpoint import LoadedEnergy, load_energy, trained_window
from ..negatives.store import Manifest
from .formula import Formula, energy_of, parse, record_of
from .model import Joint

UNTESTED = "what it says there was never tested"


@dataclass(frozen=True)
class LoadedJoint:
    """``sampling_memory``: GiB that samples in hand may take; None for what ``lm.sampler`` has."""

    lm: LoadedLM
    energies: Tuple[LoadedEnergy, ...]
    experts: Tuple[LoadedLM, ...]
    formula: Formula
    sampling_memory: Optional[float] = None

    def joint(self) -> Joint:
        sampler = Sampler(self.lm.model, memory=self.sampling_memory)
        energies, experts = ([each.model for each in of] for of in (self.energies, self.experts))
        energy = energy_of(self.formula, energies, experts)
        return Joint(self.lm.model, sampler, energy, self.lm.right_to_left)

    def weighted(self, weights: Sequence[float]) -> "LoadedJoint":
        return replace(self, formula=self.formula.weighted(weights))

    @property
    def judges(self) -> bool:
        """Whether there is more than a language model."""
        return bool(self.energies or self.experts)

    @property
    def others(self) -> Tuple[Loaded, ...]:
        return (*self.energies, *self.experts)

    @property
    def negatives(self) -> Sequence[Manifest]:
        return [manifest for energy in self.energies for manifest in energy.negatives]

    @property
    def max_positions(self) -> int:
        """Tokens that all can read."""
        return min(each.max_positions for each in (self.lm, *self.others))

    @property
    def window(self) -> int:
        return trained_window(self.negatives, self.max_positions)

    def require_window(self, window: int) -> None:
        for each in (self.lm, *self.others):
            each.require_window(window)

    def require_density(self, weights_are_free: bool = False) -> None:
        """Refuses what makes the formula no model of the data. An energy alone, as it is, must have
        been trained for this language model; in a formula it is a function as any other."""
        as_it_is = self.formula.is_plain and not weights_are_free
        for energy in self.energies:
            energy.require_density(self.lm.sha256 if as_it_is else None)

    def doubts(self, prefix_length: int, window: Optional[int] = None) -> List[str]:
        """What the energies did not meet in training, in sentences."""
        found = doubts(self.negatives, self.lm.precision, prefix_length)
        if self.energies and window is not None and window > self.window:
            longer = f"longer than any that the energy was trained on ({self.window})"
            found += [f"windows of {window} tokens are {longer}: {UNTESTED}"]
        return found

    def named(self) -> Dict[str, Any]:
        """For ``provenance``."""
        energy = self.energies[0] if self.formula.is_plain and self.energies else None
        return {"language_model": self.lm, "energy": energy}

    def also_named(self) -> Dict[str, Any]:
        """The formula, where that is more than a language model and an energy."""
        return {} if self.formula.is_plain else {"formula": record_of(self.formula, self.others)}


def doubts(negatives: Sequence[Manifest], precision: str, prefix_length: int) -> List[str]:
    """``precision`` of the language model and tokens of context, against an energy's negatives."""
    found = []
    precisions = {m.options["precision"] for m in negatives if "precision" in m.options}
    if others := " and ".join(sorted(precisions - {precision})):
        trained = f"the energy was trained on its text in {others}"
        found += [f"the language model is in {precision}, but {trained}: another distribution"]
    lengths = [length for m in negatives for length in m.options.get("prefix_length") or ()]
    shortest = min(lengths, default=0)
    if prefix_length < shortest:
        shorter = f"shorter than any that the energy was trained on (from {shortest})"
        found += [f"a prefix of {prefix_length} tokens is {shorter}: {UNTESTED}"]
    return found


def load_joint_checkpoints(
    path: str,
    data: Path,
    precision: str,
    device: torch.device,
    sampling_memory: Optional[float] = None,
) -> LoadedJoint:
    """``path``: a formula of models in any order; ``data`` has the dictionary."""
    formula = parse(path)
    lm = load_base_lm(formula.base, data, precision, device)
    energies = [load_energy(part.path, data, precision, device) for part in formula.energies]
    experts = [load_base_lm(part.path, data, precision, device) for part in formula.experts]
    if experts and any(model.right_to_left for model in (lm, *experts)):
        raise UserError("--path: a language model reads right to left: it cannot be one of several")
    return LoadedJoint(lm, tuple(energies), tuple(experts), formula, sampling_memory)
