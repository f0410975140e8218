"""Language models inside another model's checkpoint: their weights are among that model's own,
and what they are built from goes, as plain values, into fairseq's ``task_state``."""

import re
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Mapping

from fairseq import models
from fairseq.data import Dictionary
from fairseq.models import FairseqLanguageModel
from omegaconf import OmegaConf

from ..errors import UserError
from ..lm.checkpoint import load_model, read_checkpoint, reads_right_to_left

# Key of what a language model was itself built upon: a residual's base.
BASE = "base_lm"

FAMILIES = ("transformer_lm", "residual_lm")

Recipe = Dict[str, Any]


def take_in(path: Path, data: Path, flag: str) -> "tuple[FairseqLanguageModel, Recipe]":
    """The language model that the user passed as ``flag``, and how to build it without its file."""
    model, config = load_model(path, data, flag)
    if not isinstance(model, FairseqLanguageModel):
        raise UserError(f"{flag}: {path}: a {type(model).__name__} is not a language model")
    if reads_right_to_left(config):
        raise UserError(f"{flag}: {path}: reads right to left")
    recipe = {"model": plain(config.model)}
    if not _is_plain(recipe["model"]):
        kind = recipe["model"].get("_name")
        raise UserError(
            f"{flag}: {path}: a {kind}; only a transformer_lm or residual_lm can be kept"
        )
    beneath = (read_checkpoint(path, flag).get("task_state") or {}).get(BASE)
    return model, recipe if beneath is None else {**recipe, BASE: beneath}


def build(recipe: Recipe, dictionary: Dictionary) -> FairseqLanguageModel:
    """With weights that are still to be loaded. A checkpoint may come from anywhere, and some of
    fairseq's models evaluate their flags: these are refused."""
    if not all(map(_is_plain, recipe.values())):
        raise UserError("the checkpoint contains a language model whose flags would run as code")
    state = {BASE: recipe[BASE]} if BASE in recipe else {}
    task = SimpleNamespace(
        dictionary=dictionary,
        source_dictionary=dictionary,
        target_dictionary=dictionary,
        output_dictionary=dictionary,
        state=SimpleNamespace(state_dict=state),
    )
    return models.build_model(from_plain(recipe["model"]), task, from_checkpoint=True)


def _is_plain(flags: Mapping[str, Any]) -> bool:
    family = models.ARCH_MODEL_NAME_REGISTRY.get(str(flags.get("_name")))
    cutoffs = (flags.get(f"adaptive_{part}_cutoff") or "" for part in ("softmax", "input"))
    return family in FAMILIES and all(re.fullmatch(r"[\d, ]*", str(c)) for c in cutoffs)


def plain(config: Any) -> Dict[str, Any]:
    """A model's flags as values which torch loads from a checkpoint without running code."""
    if isinstance(config, Namespace):  # fairseq's older models
        return dict(vars(config))
    made: Any = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    return dict(made)


def from_plain(flags: Dict[str, Any]) -> Any:
    is_new = models.ARCH_MODEL_NAME_REGISTRY[flags["_name"]] in models.MODEL_DATACLASS_REGISTRY
    return OmegaConf.create(flags) if is_new else Namespace(**flags)
