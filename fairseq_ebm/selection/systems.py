"""The systems by name, made from the flags of the task."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Optional

import torch
from fairseq.data import Dictionary

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
from .weighting import make_weighting


def make_system(cfg: Any, generic: Path, dictionary: Dictionary) -> System:
    return SYSTEMS[str(cfg.selection)](cfg, generic, dictionary)


def _learned(make: Callable[[Any, EnergyModel], System]) -> Callable[[Any, Path, Any], System]:
    def made(cfg: Any, generic: Path, dictionary: Dictionary) -> System:
        network = make_weighting(cfg.weighting, cfg.weighting_dim, cfg.seed, dictionary)
        reads, needed = network.max_positions(), cfg.tokens_per_sample
        if reads < needed:
            what = f"reads {reads} tokens, less than the {needed} of --tokens-per-sample"
            raise UserError(f"--weighting {cfg.weighting}: {what}")
        return make(cfg, network)

    return made


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
