"""The network that scores examples: an energy of this package, small, s = −E."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Optional, Tuple

import torch
from fairseq import models
from fairseq.data import Dictionary
from fairseq.models import (
    ARCH_CONFIG_REGISTRY,
    ARCH_MODEL_NAME_REGISTRY,
    ARCH_MODEL_REGISTRY,
    MODEL_DATACLASS_REGISTRY,
)
from omegaconf import OmegaConf

from ..errors import UserError
from ..lm.checkpoint import load_base_lm, read_checkpoint
from ..models.energy import EnergyModel

WEIGHTING = "energy_cnn"
NEED_MORE = ("energy_hf", "energy_ratio")
STATE, NETWORK = "selection", "weighting"  # in fairseq's ``task_state``


def make_weighting(
    arch: str, width: Optional[int], seed: int, dictionary: Dictionary
) -> EnergyModel:
    """α at its start: s = 0 for all. No other random number is touched."""
    family = ARCH_MODEL_REGISTRY.get(arch)
    if family is None or not issubclass(family, EnergyModel):
        raise UserError(f"--weighting {arch}: not an energy of this package")
    if arch in NEED_MORE:
        raise UserError(f"--weighting {arch}: needs other models; choose one that stands alone")
    flags: Any = OmegaConf.structured(MODEL_DATACLASS_REGISTRY[ARCH_MODEL_NAME_REGISTRY[arch]])
    known: Any = OmegaConf.to_container(flags)
    flags = OmegaConf.create({**known, "_name": arch})
    sides = [side for side in ("encoder", "decoder") if f"{side}_embed_dim" in flags]
    if width is not None and not sides:
        raise UserError(f"--weighting-dim: --weighting {arch} has no width; drop it")
    for side in sides if width is not None else ():
        flags[f"{side}_embed_dim"] = width
    if arch in ARCH_CONFIG_REGISTRY:
        ARCH_CONFIG_REGISTRY[arch](flags)
    heads = max((flags.get(f"{side}_attention_heads", 1) for side in sides), default=1)
    if width is not None and width % heads:
        what = f"not a multiple of the {heads} heads of --weighting {arch}"
        raise UserError(f"--weighting-dim {width}: {what}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: EnergyModel = models.build_model(flags, SimpleNamespace(dictionary=dictionary))
    return made


def load_weighting(
    path: Path, data: Path, device: torch.device
) -> Tuple[EnergyModel, Dict[str, str]]:
    """The network in a checkpoint of data_selection_lm, and the checkpoint's hash."""
    lm = load_base_lm(path, data, "fp32", device, "--weighting")
    whole = read_checkpoint(path, "--weighting")
    kept = (whole.get("task_state") or {}).get(STATE, {}).get("system", {})
    if NETWORK not in kept:
        raise UserError(f"--weighting: {path}: has no weighting network")
    task = whole["cfg"]["task"]
    width, seed = task["weighting_dim"], task["seed"]
    network = make_weighting(task["weighting"], width, seed, lm.dictionary)
    network.load_state_dict(kept[NETWORK])
    return network.eval().to(device), {"weighting": lm.sha256}
