"""An energy from its checkpoint, with what it was trained against. No code in it is run."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Tuple

import torch
from fairseq import models
from omegaconf import OmegaConf

from ..data.store import Manifest, sha256_of
from ..data.tokenizers import DICTIONARY_NAME, load_dictionary
from ..errors import UserError
from ..lm.checkpoint import DTYPES, require_precision
from .energy import EnergyModel


@dataclass(frozen=True)
class Energy:
    """``model`` in evaluation mode, on its device, in its precision."""

    model: EnergyModel
    sha256: str
    architecture: str
    negatives: Tuple[Manifest, ...]  # of every store that it was trained on
    precision: str
    path: Path

    def require_density(self, lm_sha256: str) -> None:
        """Refuses what makes P_LM(x) exp(-E(x)) no model of the data."""
        for manifest in self.negatives:
            if manifest.is_truncated:
                raise UserError(
                    f"--path: {self.path}: trained on negatives that are not from the language "
                    f"model's own distribution ({manifest.sampler}): its energies tell text apart, "
                    "but give no perplexity; train on untruncated negatives"
                )
            if manifest.source["language_model"]["sha256"] != lm_sha256:
                raise UserError(
                    f"--path: {self.path}: trained on negatives of another language model"
                )


def load_energy(path: Path, data: Path, precision: str, device: torch.device) -> Energy:
    """Loads ``path`` for use with the dictionary of ``data``."""
    require_precision(precision, device)
    state = read_energy(path)
    manifests = tuple(Manifest(**values) for values in state["task_state"]["negatives"])
    dictionary = load_dictionary(data / DICTIONARY_NAME)
    task = SimpleNamespace(dictionary=dictionary)
    config = OmegaConf.create(state["cfg"]["model"])
    model = models.build_model(config, task, from_checkpoint=True)
    try:
        model.load_state_dict(state["model"], strict=True)
    except UserError as error:
        raise UserError(f"--path: {path}: {error} than {data / DICTIONARY_NAME}") from None
    model.eval().to(device=device, dtype=DTYPES[precision])
    name = str(state["cfg"]["model"]["_name"])
    return Energy(model, sha256_of(path), name, manifests, precision, path)


def read_energy(path: Path) -> Dict[str, Any]:
    """The contents of a checkpoint that one of this package's tasks has written."""
    if not path.is_file():
        raise UserError(f"--path: {path}: no such file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(f"--path: {path}: not an energy ({type(error).__name__})") from None
    if not isinstance(state, dict) or "negatives" not in (state.get("task_state") or {}):
        raise UserError(f"--path: {path}: not an energy (no manifest of negatives in it)")
    return state
