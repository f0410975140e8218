"""The systems by name, made from the flags of the task."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Optional

import torch
from fairseq import models
from fairseq.data import Dictionary
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_NAME_REGISTRY, ARCH_MODEL_REGISTRY
from fairseq.models import MODEL_DATACLASS_REGISTRY as CONFIGS
from omegaconf import OmegaConf

from ..errors import UserError
from ..models.checkpoint import load_energy
from ..models.energy import EnergyModel
from .anograd import Anograd
from .classifier import Classifier
from .dds import DDS
from .generic import Generic, Mix
from .scored import Energy, Scored
from .scores import read_scores
from .soba import Soba
from .system import System

WEIGHTING = "energy_cnn"


def make_system(cfg: Any, generic: Path, dictionary: Dictionary) -> System:
    return SYSTEMS[str(cfg.selection)](cfg, generic, dictionary)


def weighting(cfg: Any, dictionary: Dictionary) -> EnergyModel:
    """α at its start: s = 0 for all. No other random number is touched."""
    arch, width = cfg.weighting, cfg.weighting_dim
    family = ARCH_MODEL_REGISTRY.get(arch)
    if family is None or not issubclass(family, EnergyModel):
        raise UserError(f"--weighting {arch}: not an energy of this package")
    flags = OmegaConf.structured(CONFIGS[ARCH_MODEL_NAME_REGISTRY[arch]])
    flags = OmegaConf.create({**OmegaConf.to_container(flags), "_name": arch})
    if width is not None and "encoder_embed_dim" not in flags:
        raise UserError(f"--weighting-dim: --weighting {arch} has no width; drop it")
    if width is not None:
        flags.encoder_embed_dim = width
    if arch in ARCH_CONFIG_REGISTRY:
        ARCH_CONFIG_REGISTRY[arch](flags)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.seed)
        return models.build_model(flags, SimpleNamespace(dictionary=dictionary))


def _learned(make: Callable[[Any, EnergyModel], System]) -> Callable[[Any, Path, Any], System]:
    return lambda cfg, generic, dictionary: make(cfg, weighting(cfg, dictionary))


def _scored(cfg: Any, generic: Path, highest: bool) -> System:
    values = read_scores(Path(cfg.selection_scores), generic, cfg.train_subset, vars_of(cfg))
    return Scored(values, highest)


def vars_of(cfg: Any) -> Mapping[str, Any]:
    return {name: getattr(cfg, name) for name in ("tokens_per_sample", "sample_break_mode",
                                                  "shorten_method")}  # fmt: skip


def _cds(cfg: Any, generic: Path, dictionary: Dictionary) -> System:
    if not cfg.selection_scores:
        what = "needs the scores of all generic text (--selection-scores)"
        raise UserError(f"--selection cds: {what}; fairseq-ebm selection-scores makes them")
    return _scored(cfg, generic, highest=True)


def _energy(cfg: Any, generic: Path, dictionary: Dictionary) -> System:
    path: Optional[str] = cfg.selection_energy
    if bool(path) == bool(cfg.selection_scores):
        how = "give --selection-energy ENERGY.pt, or its --selection-scores"
        raise UserError(f"--selection energy: {how}, one of them")
    if not path:
        return _scored(cfg, generic, highest=False)
    energy = load_energy(Path(path), generic, "fp32", torch.device("cpu"), "--selection-energy")
    energy.require_window(cfg.tokens_per_sample, "--tokens-per-sample")
    return Energy(energy.model)


SYSTEMS: Mapping[str, Callable[[Any, Path, Dictionary], System]] = {
    "generic": lambda cfg, generic, dictionary: Generic(),
    "mix": lambda cfg, generic, dictionary: Mix(cfg.generic_weight),
    "classifier": _learned(lambda cfg, network: Classifier(network, cfg.meta_lr)),
    "cds": _cds,
    "dds": _learned(lambda cfg, network: DDS(network, cfg.meta_lr, cfg.dds_lr)),
    "anograd": _learned(
        lambda cfg, network: Anograd(network, cfg.meta_lr, cfg.anograd_norm == "hessian")
    ),
    "soba": _learned(
        lambda cfg, network: Soba(network, cfg.meta_lr, cfg.soba_hessian == "exact", cfg.soba_ridge)
    ),
    "energy": _energy,
}
