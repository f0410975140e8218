"""``data_selection_lm``: fairseq's ``language_modeling``, which learns from a part of each batch of
generic text only: that which helps on a specific text."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingTask

from ..errors import UserError
from ..lm.checkpoint import read_checkpoint
from ..lm.directional import require_losses
from ..selection import processes
from ..selection.blocks import Drawn, InAnyOrder, identity, sources_of
from ..selection.flags import WITHOUT_SPECIFIC, DataSelectionConfig, require_sense
from ..selection.log import LOG_NAME, Log
from ..selection.selecting import Selecting, Sizes
from ..selection.system import System
from ..selection.systems import make_system, vars_of
from ..selection.weighting import NETWORK, STATE
from .restored import restored_checkpoint

SPECIFIC = "specific_"
FEW = 16  # examples to learn from, where no size is given (--max-tokens)


@register_task("data_selection_lm", dataclass=DataSelectionConfig)
class DataSelectionTask(LanguageModelingTask):
    """``--batch-size`` examples are looked at, ``--selected-size`` of them learnt from."""

    def __init__(self, args: Any, *others: Any, **more: Any) -> None:
        super().__init__(args, *others, **more)
        self._system: Optional[System] = None
        self._specific: Optional[Drawn] = None
        self._selecting: Optional[Selecting] = None
        self._before: Dict[str, Any] = {}  # state of a run that goes on
        self._before_update = 0
        self._validated = 0
        self._per_update = 1  # batches

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
        if not from_checkpoint:
            self._prepare(model)
        return model

    def _prepare(self, model: Any) -> None:
        """What selection needs, so that what is missing is told before training begins."""
        cfg, longest = self.args, int(min(model.max_positions(), sys.maxsize))
        require_sense(cfg)
        self._go_on()
        with torch.random.fork_rng(devices=[]):
            self._system = make_system(cfg, Path(cfg.data), self.dictionary)
        if cfg.selection not in WITHOUT_SPECIFIC:
            task = self._specific_task()
            task.load_dataset("train")
            size = self._sizes.learning or FEW
            self._specific = Drawn(task.datasets["train"], size, cfg.seed, longest)
        if self._system.looks_at_model:
            require_losses(model)

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
        if state["text"] != self._text():
            state["log"].pop("seen")
        was, now = state["of"], self._of()
        learnt = any(name in state["system"] for name in (NETWORK, "v"))
        if learnt and was != now:
            other = next(name for name in now if was.get(name) != now[name])
            flag = f"--{other.replace('_', '-')}"
            what = f"trained with {flag} {was.get(other)}, not {now[other]}"
            raise UserError(f"going on from {path}: {what}; begin with --finetune-from-model")
        system = state["system"] if was == now else {}
        self._before = {**self._about(), "log": state["log"], "system": system}

    def _about(self) -> Dict[str, Any]:
        return {"of": self._of(), "text": self._text()}

    def _text(self) -> Dict[str, Any]:
        return identity(Path(self.args.data), self.args.train_subset, vars_of(self.args))

    def _of(self) -> Dict[str, Any]:
        names = ("selection", "weighting", "weighting_dim")
        return {name: getattr(self.args, name) for name in names} | {
            "selection": str(self.args.selection)
        }

    @property
    def _sizes(self) -> Sizes:
        size = self.args.selected_size or self.args.batch_size
        return Sizes(size, self.args.meta_batch or size, self.args.meta_every)

    def _begun(self, device: Any) -> Selecting:
        """When the first batch is there, and with it all that a batch comes from."""
        if self._selecting is not None:
            return self._selecting
        assert self._system is not None
        cfg, generic = self.args, self.datasets[self.args.train_subset]
        blocks = generic.dataset if self._chooses else generic
        labels = sources_of(Path(cfg.data), cfg.train_subset, blocks)
        path = Path(cfg.selection_log or Path(cfg.save_dir) / LOG_NAME)
        log = Log(
            path if processes.rank() == 0 else None, max(1, cfg.log_interval), len(generic), labels
        )
        self._selecting = Selecting(
            self._system, self._sizes, self._specific, log, self.dictionary.pad(), cfg.seed, device
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
        chosen = selecting.choose(sample, update_num, self._per_update, dummy=ignore_grad)
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
        if not is_bad:  # else AMP has passed over this batch, and tries it again
            self._selecting.learn(model, optimizer.get_lr(), update_num)

    def state_dict(self) -> Dict[str, Any]:
        state: Dict[str, Any] = super().state_dict()
        if self._selecting is None:
            return {**state, STATE: self._before} if self._before else state
        return {**state, STATE: {**self._about(), **self._selecting.state()}}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Of a checkpoint that is used as a language model, which what chose its text is not."""
        super().load_state_dict({n: v for n, v in state_dict.items() if n != STATE})

    def begin_epoch(self, epoch: int, model: Any) -> None:
        super().begin_epoch(epoch, model)
        frequencies = self.args.update_freq
        self._per_update = int(frequencies[min(epoch, len(frequencies)) - 1])
        if self._selecting is not None:
            self._selecting.forget()

    def begin_valid_epoch(self, epoch: int, model: Any) -> None:
        super().begin_valid_epoch(epoch, model)
        self._validated = 0

    def post_validate(self, model: Any, stats: Any, meters: Any) -> None:
        """fairseq's trainer calls it after each subset."""
        subsets: List[str] = self.args.valid_subset.split(",")
        if self._selecting is not None and self._validated < len(subsets):
            loss = meters["nll_loss"] if "nll_loss" in meters else meters["loss"]
            self._selecting.validated(subsets[self._validated], loss.avg)
        self._validated += 1


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
