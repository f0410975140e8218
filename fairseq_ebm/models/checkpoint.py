"""An energy from its checkpoint, with what it was trained against. No code in the file is run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Optional, Tuple

import torch
from fairseq import models
from fairseq.data import Dictionary
from fairseq.models import ARCH_MODEL_REGISTRY
from omegaconf import OmegaConf

from ..data.tokenizers import DICTIONARY_NAME, digest_of, load_dictionary
from ..errors import UserError
from ..files import require_complete, sha256_of
from ..lm.checkpoint import DTYPES, Loaded, require_precision
from ..negatives.store import Manifest, manifest_of
from ..registration import register
from .energy import NEGATIVES, EnergyModel

WINDOW = 160  # of both papers

SYMBOLS = "symbols"  # in fairseq's ``task_state``: digest of the dictionary


@dataclass(frozen=True)
class LoadedEnergy(Loaded):
    negatives: Tuple[Manifest, ...]
    criterion: str
    no_density: Optional[str]  # why exp(-E) is no ratio of densities, if so
    margin: Optional[float] = None  # of the ranking loss, if it was trained with that

    @property
    def window(self) -> int:
        return trained_window(self.negatives, self.max_positions)

    def require_density(self, lm_sha256: Optional[str]) -> None:
        """Refuses what makes P_LM(x) exp(-E(x)) no model of the data."""
        if self.no_density:
            raise UserError(
                f"--path: {self.path}: trained {self.no_density}: its energies tell text apart, "
                "but give no perplexity; train with conditional_nce on untruncated negatives"
            )
        sources = (m.source["language_model"]["sha256"] for m in self.negatives)
        if lm_sha256 is not None and any(sha256 != lm_sha256 for sha256 in sources):
            raise UserError(f"--path: {self.path}: trained on negatives of another language model")


def trained_window(negatives: Sequence[Manifest], positions: int) -> int:
    """Tokens that an energy was trained to see; the papers' 160, or as many as fit, if its
    negatives do not say or there are none."""
    windows = [int(m.options["window"]) for m in negatives if m.options.get("window")]
    return max(windows, default=min(WINDOW, positions))


def load_energy(
    path: Path, data: Path, precision: str, device: torch.device, flag: str = "--path"
) -> LoadedEnergy:
    """Loads ``path``, passed as ``flag``, for use with the dictionary of ``data``."""
    require_precision(precision, device)
    state = read_energy(path, flag)
    dictionary = load_dictionary(data / DICTIONARY_NAME)
    require_symbols(state["task_state"], dictionary, f"{flag}: {path}", data)
    config = OmegaConf.create(state["cfg"]["model"])
    kept = SimpleNamespace(state_dict=state["task_state"])
    task = SimpleNamespace(dictionary=dictionary, state=kept, data=data)
    model = models.build_model(config, task, from_checkpoint=True)
    model.load_state_dict(state["model"], strict=True)
    model.eval().to(device=device, dtype=DTYPES[precision])
    sha256, negatives = sha256_of(path), negatives_of(state, path)
    architecture, criterion = (state["cfg"][name]["_name"] for name in ("model", "criterion"))
    no_density = _why_no_density(state["cfg"], negatives)
    margin = state["cfg"]["criterion"].get("energy_margin")
    return LoadedEnergy(
        model, path, sha256, architecture, precision, negatives, criterion, no_density, margin
    )


def read_energy(path: Path, flag: str) -> Dict[str, Any]:
    """The contents of a checkpoint that one of this package's tasks has written.

    Tensors stay on the disk until they are used. Only our own models are ever built from it: some
    of fairseq's evaluate what their configuration says.
    """
    if not path.is_file():
        raise UserError(f"{flag}: {path}: no such file")
    require_complete(path, flag)
    register()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        known = {NEGATIVES, SYMBOLS} <= set(state["task_state"])
        family = ARCH_MODEL_REGISTRY.get(state["cfg"]["model"]["_name"])
    except Exception as error:  # whatever a file that is something else makes torch raise
        raise UserError(f"{flag}: {path}: not an energy ({type(error).__name__})") from None
    if not known or family is None or not issubclass(family, EnergyModel):
        raise UserError(f"{flag}: {path}: not an energy")
    return state


def negatives_of(state: Dict[str, Any], path: Path) -> Tuple[Manifest, ...]:
    """What an energy was trained on, by the contents of its checkpoint."""
    return tuple(manifest_of(values, str(path)) for values in state["task_state"][NEGATIVES])


def is_energy(path: Path) -> bool:
    """Or else a language model, or no checkpoint at all. One that is cut off is refused."""
    require_complete(path, "--path")
    try:
        read_energy(path, "--path")
    except UserError:
        return False
    return True


def require_symbols(
    task_state: Dict[str, Any], dictionary: Dictionary, beginning: str, data: Path
) -> None:
    if task_state[SYMBOLS] != digest_of(dictionary):
        ours = data / DICTIONARY_NAME
        raise UserError(f"{beginning}: the energy was trained with another dictionary than {ours}")


def _why_no_density(config: Dict[str, Any], manifests: Sequence[Manifest]) -> Optional[str]:
    for manifest in manifests:
        if manifest.is_truncated:
            sampler = manifest.sampler
            return f"on negatives not from the language model's own distribution ({sampler})"
    if config["task"].get("hard_negatives"):
        return "on the hardest of its negatives (--hard-negatives)"
    if config["criterion"]["_name"] == "energy_ranking":
        return "with --criterion energy_ranking"
    return None
