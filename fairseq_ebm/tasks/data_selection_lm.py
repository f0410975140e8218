"""``data_selection_lm``: fairseq's ``language_modeling``, which learns from a part of each batch of
generic text only: that which helps on a specific text."""

import argparse
import dataclasses
import logging
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask
from omegaconf import II

from ..data.tokenizers import DICTIONARY_NAME, require_same_dictionary
from ..errors import UserError
from ..lm.checkpoint import read_checkpoint
from ..options import fairseq_flag
from ..selection import processes
from ..selection.blocks import Drawn, InAnyOrder, sources_of
from ..selection.log import Log
from ..selection.selecting import Selecting, Sizes
from ..selection.systems import SYSTEMS, make_system
from ..selection.weighting import NETWORK, STATE, WEIGHTING
from .restored import restored_checkpoint

logger = logging.getLogger(__name__)

SPECIFIC = "specific_"
LOG_NAME = "selection.jsonl"
FEW = 16  # examples to learn from, where no size is given (--max-tokens)
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
    selection: ChoiceEnum(tuple(SYSTEMS)) = fairseq_flag("generic", "how generic text is chosen")
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
    anograd_norm: ChoiceEnum(("euclidean", "hessian")) = fairseq_flag(
        "euclidean", "anograd: length of a step"
    )
    soba_hessian: ChoiceEnum(("exact", "free")) = fairseq_flag(
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
    save_dir: str = II("checkpoint.save_dir")
    reset_optimizer: bool = II("checkpoint.reset_optimizer")
    restore_file: str = II("checkpoint.restore_file")
    checkpoint_suffix: str = II("checkpoint.checkpoint_suffix")
    continue_once: Optional[str] = II("checkpoint.continue_once")
    finetune_from_model: Optional[str] = II("checkpoint.finetune_from_model")


@register_task("data_selection_lm", dataclass=DataSelectionConfig)
class DataSelectionTask(LanguageModelingTask):
    """``--batch-size`` examples are looked at, ``--selected-size`` of them learnt from."""

    def __init__(self, args: Any, *others: Any, **more: Any) -> None:
        super().__init__(args, *others, **more)
        self._selecting: Optional[Selecting] = None
        self._before: Dict[str, Any] = {}  # state of a run that goes on
        self._before_update = 0
        self._validated = 0
        self._longest = sys.maxsize  # tokens that the model reads

    def _specific_task(self) -> LanguageModelingTask:
        """Cuts specific text as the generic one."""
        args = argparse.Namespace(**{n: getattr(self.args, n) for n in _names(self.args)})
        args.data = self.args.specific
        return LanguageModelingTask(args, self.dictionary, self.output_dictionary, self.targets)

    @property
    def _chooses(self) -> bool:
        return bool(self.args.selected_size) and self.args.selected_size != self.args.batch_size

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> Any:
        if not split.startswith(SPECIFIC):
            super().load_dataset(split, *args, **kwargs)
            if split == self.args.train_subset and self._chooses:
                self.datasets[split] = InAnyOrder(self.datasets[split])
            return self.datasets[split]
        if not self.args.specific:
            raise UserError(f"--valid-subset {split}: needs --specific")
        specific = self._specific_task()
        specific.load_dataset(split[len(SPECIFIC) :])
        self.datasets[split] = specific.datasets[split[len(SPECIFIC) :]]
        return self.datasets[split]

    def get_batch_iterator(self, *args: Any, **kwargs: Any) -> Any:
        """Batches of a run that goes on are those of one that was not interrupted: made in the
        first epoch, and only dealt in another order after that. (fairseq makes others then.)"""
        if not kwargs.get("update_epoch_batch_itr"):
            kwargs["epoch"] = 1
        return super().get_batch_iterator(*args, **kwargs)

    def build_model(self, args: Any, from_checkpoint: bool = False) -> Any:
        model = super().build_model(args, from_checkpoint)
        self._longest = int(min(model.max_positions(), sys.maxsize))
        if not from_checkpoint:
            require_sense(self.args)
            self._go_on()
        return model

    def _go_on(self) -> None:
        """fairseq's trainer does not give a task its state back: take it from the checkpoint."""
        path = restored_checkpoint(self.args)
        anew = path is not None and str(path) == self.args.finetune_from_model
        if path is None or not path.exists() or anew or self.args.reset_optimizer:
            return
        whole = read_checkpoint(path, "going on from a checkpoint")
        history = whole.get("optimizer_history") or [{}]
        self._before_update = int(history[-1].get("num_updates", 0))
        state = (whole.get("task_state") or {}).get(STATE)
        if state is None:  # of stock language_modeling
            return
        was, now = state["of"], self._of()
        learnt = any(name in state["system"] for name in (NETWORK, "v"))
        if learnt and was != now:
            other = next(name for name in now if was.get(name) != now[name])
            flag = f"--{other.replace('_', '-')}"
            what = f"trained with {flag} {was.get(other)}, not {now[other]}"
            raise UserError(f"going on from {path}: {what}; begin with --finetune-from-model")
        self._before = state if was == now else {"log": state["log"], "system": {}}

    def _of(self) -> Dict[str, Any]:
        names = ("selection", "weighting", "weighting_dim")
        return {name: getattr(self.args, name) for name in names} | {
            "selection": str(self.args.selection)
        }

    def _begun(self, device: Any) -> Selecting:
        """When the first batch is there, and with it all that a batch comes from."""
        if self._selecting is not None:
            return self._selecting
        cfg, generic = self.args, self.datasets[self.args.train_subset]
        size = cfg.selected_size or cfg.batch_size
        sizes = Sizes(size, cfg.meta_batch or size, cfg.meta_every)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            system = make_system(cfg, Path(cfg.data), self.dictionary)
        specific = None
        if cfg.selection not in WITHOUT_SPECIFIC:
            task = self._specific_task()
            task.load_dataset("train")
            size = sizes.learning or FEW
            specific = Drawn(task.datasets["train"], size, cfg.seed, self._longest)
        blocks = generic.dataset if self._chooses else generic
        labels = sources_of(Path(cfg.data), cfg.train_subset, blocks)
        path = Path(cfg.selection_log or Path(cfg.save_dir) / LOG_NAME)
        log = Log(
            path if processes.rank() == 0 else None, max(1, cfg.log_interval), len(generic), labels
        )
        self._selecting = Selecting(
            system, sizes, specific, log, self.dictionary.pad(), cfg.seed, device
        )
        if self._before:
            self._selecting.restore(self._before)
        log.begin(self._before_update)
        return self._selecting

    def train_step(
        self,
        sample: Any,
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
        **more: Any,
    ) -> Tuple[Any, Any, Any]:
        selecting = self._begun(sample["target"].device)
        chosen = selecting.choose(sample, update_num, dummy=ignore_grad)
        weight = selecting.system.specific_weight
        if not weight:
            return super().train_step(
                chosen, model, criterion, optimizer, update_num, ignore_grad, **more
            )
        specific, done = selecting.specific_batch(update_num), None
        for batch, part in ((chosen, 1.0 - weight), (specific, weight)):
            scaled = _scaled(criterion, part, done[1] if done else None)
            step = super().train_step(
                batch, model, scaled, optimizer, update_num, ignore_grad, **more
            )
            done = done or step
        assert done is not None
        return done

    def optimizer_step(self, optimizer: Any, model: Any, update_num: int) -> None:
        assert self._selecting is not None
        is_bad = self.args.amp and any(
            p.grad is not None and not p.grad.isfinite().all() for p in model.parameters()
        )
        super().optimizer_step(optimizer, model, update_num)
        if is_bad:  # AMP has passed over this batch, and tries it again
            self._selecting.forget()
        else:
            self._selecting.learn(model, optimizer.get_lr(), update_num)

    def state_dict(self) -> Dict[str, Any]:
        state: Dict[str, Any] = super().state_dict()
        if self._selecting is None:
            return {**state, STATE: self._before} if self._before else state
        return {**state, STATE: {"of": self._of(), **self._selecting.state()}}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Of a checkpoint that is used as a language model, which what chose its text is not."""
        super().load_state_dict({n: v for n, v in state_dict.items() if n != STATE})

    def begin_valid_epoch(self, epoch: int, model: Any) -> None:
        super().begin_valid_epoch(epoch, model)
        self._validated = 0

    def post_validate(self, model: Any, stats: Any, meters: Any) -> None:
        """fairseq's trainer calls it after each subset."""
        subsets: List[str] = self.args.valid_subset.split(",")
        if self._selecting is not None and self._validated < len(subsets):
            self._selecting.validated(subsets[self._validated], meters["loss"].avg)
        self._validated += 1


def require_sense(cfg: Any) -> None:
    """Refuses flags that do not go together."""
    if os.pathsep in cfg.data:
        raise UserError(f"{cfg.data}: data_selection_lm wants one folder")
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


def _names(args: Any) -> List[str]:
    if dataclasses.is_dataclass(args):
        return [each.name for each in dataclasses.fields(args)]
    return list(args)


def _scaled(criterion: Any, weight: float, size: Any) -> Any:
    """The criterion, its loss a mean times ``size`` (default: the batch's own), by which fairseq's
    trainer will divide it, times ``weight``."""

    def loss_of(model: Any, batch: Any) -> Tuple[Any, Any, Any]:
        loss, own, log = criterion(model, batch)
        return weight * loss * ((own if size is None else size) / own), own, log

    return loss_of
