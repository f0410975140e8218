"""``--path lm.pt:energy.pt``: a language model, and an energy or none, fit to work together."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch

from ..data.options import HUGGING_FACE
from ..errors import UserError
from ..lm.checkpoint import LoadedLM, load_base_lm, read_checkpoint
from ..lm.hugging_face import folder_of
from ..lm.sampler import Sampler
from ..models.checkpoint import LoadedEnergy, is_energy, load_energy, trained_window
from ..negatives.store import Manifest
from .model import Joint

UNTESTED = "what it says there was never tested"


@dataclass(frozen=True)
class LoadedJoint:
    """``sampling_memory``: GiB that samples in hand may take; None for what ``lm.sampler`` has."""

    lm: LoadedLM
    energy: Optional[LoadedEnergy]
    sampling_memory: Optional[float] = None

    def joint(self) -> Joint:
        energy = None if self.energy is None else self.energy.model
        sampler = Sampler(self.lm.model, memory=self.sampling_memory)
        return Joint(self.lm.model, sampler, energy, self.lm.right_to_left)

    @property
    def negatives(self) -> Sequence[Manifest]:
        return () if self.energy is None else self.energy.negatives

    @property
    def max_positions(self) -> int:
        """Tokens that both can read."""
        return min(each.max_positions for each in (self.lm, self.energy) if each is not None)

    @property
    def window(self) -> int:
        return trained_window(self.negatives, self.max_positions)

    def require_window(self, window: int) -> None:
        for each in (self.lm, self.energy):
            if each is not None:
                each.require_window(window)

    def require_density(self) -> None:
        """Refuses what makes P_LM(x) exp(-E(x)) no model of the data."""
        if self.energy is not None:
            self.energy.require_density(self.lm.sha256)

    def doubts(self, prefix_length: int, window: Optional[int] = None) -> List[str]:
        """What the energy did not meet in training, in sentences."""
        found = doubts(self.negatives, self.lm.precision, prefix_length)
        if self.energy is not None and window is not None and window > self.window:
            longer = f"longer than any that the energy was trained on ({self.window})"
            found += [f"windows of {window} tokens are {longer}: {UNTESTED}"]
        return found

    def named(self) -> Dict[str, Any]:
        """For ``provenance``."""
        return {"language_model": self.lm, "energy": self.energy}


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
    """``path``: checkpoints in any order, joined by a colon; ``data`` has the dictionary."""
    lm_path, energy_path = split_path(path)
    lm = load_base_lm(lm_path, data, precision, device)
    energy = load_energy(energy_path, data, precision, device) if energy_path else None
    return LoadedJoint(lm, energy, sampling_memory)


def split_path(path: str) -> Tuple[Path, Optional[Path]]:
    paths = list(map(Path, split_names(path)))
    files = [each for each in paths if folder_of(each) is None]
    for each in files:
        if not each.is_file():
            raise UserError(f"--path: {each}: no such file")
    energies = [each for each in files if is_energy(each)]
    models = [each for each in paths if each not in energies]
    if len(models) > 1:
        for each in models:  # one may be no checkpoint at all, which its own error says
            if each in files:
                read_checkpoint(each, "--path")
    if len(models) != 1 or len(energies) > 1:
        found = f"language models: {len(models)}, energies: {len(energies)}"
        raise UserError(f"--path: {path}: {found}; give one language model, and one energy or none")
    return models[0], energies[0] if energies else None


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
