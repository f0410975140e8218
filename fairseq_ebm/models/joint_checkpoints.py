"""``--path lm.pt:energy.pt``: a language model, and an energy or none, fit to work together."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import torch

from ..errors import UserError
from ..lm.checkpoint import BaseLM, load_base_lm
from ..lm.sampler import Sampler
from ..numerics.drawing import UNTRUNCATED, Truncation
from .checkpoint import Energy, is_energy, load_energy
from .joint import Joint


@dataclass(frozen=True)
class JointCheckpoints:
    lm: BaseLM
    energy: Optional[Energy]
    lm_path: Path

    def joint(self, truncation: Truncation = UNTRUNCATED) -> Joint:
        energy = None if self.energy is None else self.energy.model
        return Joint(
            self.lm.model, Sampler(self.lm.model, truncation), energy, self.lm.right_to_left
        )

    @property
    def max_positions(self) -> int:
        """Tokens that both can read."""
        positions = [self.lm.max_positions]
        if self.energy is not None:
            positions.append(int(self.energy.model.max_positions()))
        return min(positions)

    @property
    def window(self) -> int:
        """Tokens that the energy was trained to see, or 160 if its negatives do not say."""
        negatives = () if self.energy is None else self.energy.negatives
        windows = [int(m.options["window"]) for m in negatives if "window" in m.options]
        return max(windows, default=min(160, self.max_positions))

    def require_window(self, window: int) -> None:
        if window > self.lm.max_positions:
            raise UserError(
                f"--window: {window} tokens are more than the {self.lm.max_positions} positions "
                f"of {self.lm_path}"
            )
        if window > self.max_positions:
            raise UserError(
                f"--window: {window} tokens are more than "
                f"{self.energy.path if self.energy else self.lm_path} reads, {self.max_positions}"
            )

    def require_density(self) -> None:
        """Refuses what makes P_LM(x) exp(-E(x)) no model of the data."""
        if self.energy is not None:
            self.energy.require_density(self.lm.sha256)

    def provenance(self) -> Dict[str, Any]:
        models: Dict[str, Any] = {"language_model": self.lm, "energy": self.energy}
        return {
            name: {"sha256": model.sha256, "architecture": model.architecture}
            for name, model in models.items()
            if model is not None
        }


def load_joint_checkpoints(
    path: str, data: Path, precision: str, device: torch.device
) -> JointCheckpoints:
    """``path``: checkpoints in any order, joined by a colon; ``data`` has the dictionary."""
    lm_path, energy_path = split_path(path)
    lm = load_base_lm(lm_path, data, precision, device)
    energy = load_energy(energy_path, data, precision, device) if energy_path else None
    return JointCheckpoints(lm, energy, lm_path)


def split_path(path: str) -> Tuple[Path, Optional[Path]]:
    paths = [Path(part) for part in path.split(os.pathsep) if part]
    for each in paths:
        if not each.is_file():
            raise UserError(f"--path: {each}: no such file")
    energies = [each for each in paths if is_energy(each)]
    models = [each for each in paths if each not in energies]
    if len(models) != 1 or len(energies) > 1:
        raise UserError(
            f"--path: {path}: {len(models)} language models and {len(energies)} energies; "
            "give one language model, and one energy or none"
        )
    return models[0], energies[0] if energies else None
