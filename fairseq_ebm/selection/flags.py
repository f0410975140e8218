"""The flags of the task ``data_selection_lm``, and which go together."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional

from fairseq.dataclass import ChoiceEnum
from fairseq.tasks.language_modeling import LanguageModelingConfig
from omegaconf import II

from ..data.tokenizers import DICTIONARY_NAME, require_same_dictionary
from ..errors import UserError
from ..options import fairseq_flag
from .log import LOG_NAME
from .systems import SYSTEMS
from .weighting import WEIGHTING

WITHOUT_SPECIFIC = ("generic", "cds", "energy")
LIMITS = {
    **dict.fromkeys(("selected_size", "meta_every"), (1, math.inf)),
    **dict.fromkeys(("meta_lr", "dds_lr"), (0, math.inf)),
    **dict.fromkeys(("generic_weight", "soba_ridge"), (0, 1)),
    "meta_batch": (2, math.inf),
}


@dataclass
class DataSelectionConfig(LanguageModelingConfig):
    specific: str = fairseq_flag(
        "",
        "prepared specific text, of the same vocabulary: its split train says what helps; "
        "--valid-subset specific_valid,valid validates on its split valid, too",
    )
    selection: ChoiceEnum(tuple(SYSTEMS)) = fairseq_flag(  # type: ignore[valid-type]
        "generic", "how generic text is chosen"
    )
    selected_size: Optional[int] = fairseq_flag(
        None, "examples that are chosen of each batch (--batch-size; default: all)"
    )
    generic_weight: float = fairseq_flag(0.9, "mix: of the generic text, between 0 and 1")
    weighting: str = fairseq_flag(
        WEIGHTING, "network that scores examples: any energy of this package, small, s = -E"
    )
    weighting_dim: Optional[int] = fairseq_flag(None, "its width (default: its own)")
    meta_lr: float = fairseq_flag(0.001, "its learning rate, by Adam")
    meta_every: int = fairseq_flag(1, "updates of the language model for one of its own")
    meta_batch: Optional[int] = fairseq_flag(
        None, "examples, generic and specific each, for one (default: --selected-size)"
    )
    dds_lr: float = fairseq_flag(0.1, "dds: how far it looks ahead; 0: the limit")
    anograd_norm: ChoiceEnum(("euclidean", "hessian")) = fairseq_flag(  # type: ignore[valid-type]
        "euclidean", "anograd: length of a step"
    )
    soba_hessian: ChoiceEnum(("exact", "free")) = fairseq_flag(  # type: ignore[valid-type]
        "exact", "soba: free moves v against the specific gradient alone"
    )
    soba_ridge: float = fairseq_flag(0.0, "soba: added to the Hessian, which weighs 1 less it")
    selection_scores: Optional[str] = fairseq_flag(
        None, "cds, energy: folder of scores, by fairseq-ebm selection-scores"
    )
    selection_energy: Optional[str] = fairseq_flag(
        None, "energy: checkpoint of one that is low where text is specific"
    )
    selection_log: Optional[str] = fairseq_flag(
        None, f"what was chosen, as JSON lines (default: {LOG_NAME} in --save-dir)"
    )
    train_subset: str = II("dataset.train_subset")
    valid_subset: str = II("dataset.valid_subset")
    ddp_backend: str = II("distributed_training.ddp_backend")
    log_interval: int = II("common.log_interval")
    amp: bool = II("common.amp")
    update_freq: List[int] = II("optimization.update_freq")
    save_dir: str = II("checkpoint.save_dir")
    reset_optimizer: bool = II("checkpoint.reset_optimizer")
    restore_file: str = II("checkpoint.restore_file")
    checkpoint_suffix: str = II("checkpoint.checkpoint_suffix")
    continue_once: Optional[str] = II("checkpoint.continue_once")
    finetune_from_model: Optional[str] = II("checkpoint.finetune_from_model")


def require_sense(cfg: Any) -> None:
    """Refuses flags that do not go together."""
    if os.pathsep in cfg.data:
        raise UserError(f"{cfg.data}: data_selection_lm wants one folder")
    if os.pathsep in cfg.specific:
        raise UserError(f"--specific: {cfg.specific}: data_selection_lm wants one folder")
    if cfg.ddp_backend == "fully_sharded":
        raise UserError("--ddp-backend fully_sharded: no process has all weights to look at")
    if cfg.batch_size and cfg.selected_size and cfg.selected_size > cfg.batch_size:
        more = f"more than the {cfg.batch_size} of --batch-size that they are chosen from"
        raise UserError(f"--selected-size {cfg.selected_size}: {more}")
    for name, (least, most) in LIMITS.items():
        given, flag = getattr(cfg, name), f"--{name.replace('_', '-')}"
        if given is not None and not least <= given <= most:
            between = f"below {least}" if most == math.inf else f"not between {least} and {most}"
            raise UserError(f"{flag}: {given} is {between}")
    if cfg.specific:
        ours, theirs = (Path(path) / DICTIONARY_NAME for path in (cfg.data, cfg.specific))
        if not theirs.exists():
            raise UserError(f"--specific: {cfg.specific}: no prepared text there")
        require_same_dictionary(ours, theirs, f"--specific: prepared with {theirs}")
    elif cfg.selection not in WITHOUT_SPECIFIC:
        raise UserError(f"--selection {cfg.selection}: needs --specific")
