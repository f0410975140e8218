"""A language model's training, as selection sees it: what it is given, and what comes of it."""

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

import torch
from torch import Tensor

from ..data.streams import WindowStream
from ..lm.directional import Landscape
from . import processes
from .blocks import Drawn, Sample, some_of
from .log import Log
from .system import System, Update


@dataclass(frozen=True)
class Sizes:
    """``chosen``: of each batch (None: all); ``learning``: examples for a step of the weighting
    network, one ``every`` so many updates."""

    chosen: Optional[int]
    learning: Optional[int]
    every: int


class Selecting:
    """Chooses from each batch, and learns after each update, from the batch that it last saw."""

    def __init__(
        self,
        system: System,
        sizes: Sizes,
        specific: Optional[Drawn],
        log: Log,
        padding: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.system, self._sizes, self._specific, self._log = system, sizes, specific, log
        self._padding, self._seed, self._device = padding, seed, device
        self._rank = processes.rank()
        self._landscape: Optional[Landscape] = None
        self._is_open, self._at, self._micro = False, -1, 0
        self._seen: Optional[Update] = None
        self._chosen: List[Tensor] = []  # ids
        system.to(device)

    def choose(self, sample: Sample, update: int, parts: int = 1, dummy: bool = False) -> Sample:
        """Of a batch those to learn from; of a ``dummy`` as many, whichever, and not remembered.
        ``parts``: batches of an update. One more than that, and it is begun again: no step was
        made, since gradients overflowed."""
        count = sample["nsentences"]
        goes_on = self._is_open and update == self._at and self._micro + 1 < parts
        if not goes_on:
            self.forget()
            self._log.begins()
        self._is_open, self._at, self._micro = True, update, self._micro + 1 if goes_on else 0
        size = min(self._sizes.chosen or count, count)
        if dummy:
            return some_of(sample, torch.arange(size, device=self._device), self._padding)
        with self._log.selecting(self._device):
            uniforms = self._uniforms(update, count)
            with torch.set_grad_enabled(self.system.keeps_graph and self._learns_at(update)):
                scores = self.system.scores(sample)
            rows = self.system.choose(scores, size, uniforms[0])
            chosen = some_of(sample, rows, self._padding)
            self._log.scored(scores, size)
            if self.system.learns:
                learning = min(self._sizes.learning or count, count)
                others = uniforms[1].argsort()[:learning].sort().values.to(self._device)
                self._seen = Update(scores, chosen, some_of(sample, others, self._padding), {})
        self._chosen.append(sample["id"][rows])
        return chosen

    def specific_batch(self, update: int) -> Sample:
        assert self._specific is not None
        return self._specific.batch(update, self._rank, self._device, self._micro)

    def learn(self, model: Any, lr: float, update: int) -> None:
        """After the language model's step of ``update``."""
        if self.system.learns and self._learns_at(update):
            with self._log.selecting(self._device):
                self._learn(model, lr, update)
        # All processes know what all have chosen: whichever writes the checkpoint has it.
        none = torch.empty(0, dtype=torch.long, device=self._device)
        self._log.chosen(processes.union(torch.cat([none, *self._chosen])).cpu().numpy())
        self.forget()
        self._log.update(update + 1)

    def forget(self) -> None:
        """What was chosen for an update that is done, or not made."""
        self._seen, self._chosen, self._is_open = None, [], False

    def _learn(self, model: Any, lr: float, update: int) -> None:
        if self.system.looks_at_model:
            if self._landscape is None:
                self._landscape = Landscape(model, self._padding)
            self._landscape.follow(model)
        seen = self._seen
        if seen is not None and self._specific is not None:
            seen = Update(seen.scores, seen.filtered, seen.random, self.specific_batch(update))
        for name, value in self.system.learn(seen, self._landscape, lr).items():
            self._log.mean(name, value)

    def _learns_at(self, update: int) -> bool:
        return (update + 1) % self._sizes.every == 0

    def _uniforms(self, update: int, count: int) -> Tensor:
        """(2, count), of this update, process and batch within the update: nothing to keep."""
        name = f"{self._rank}/{self._micro}"
        return WindowStream(self._seed, name, update, "selection").uniforms(2, count)

    def validated(self, subset: str, loss: float) -> None:
        """``loss`` in bits a token, as fairseq has it."""
        self._log.valid(self._at + 1, {subset: float(loss) * math.log(2)})

    def state(self) -> Dict[str, Any]:
        return {"system": self.system.state(), "log": self._log.state()}

    def restore(self, state: Dict[str, Any]) -> None:
        if state["system"]:
            self.system.restore(state["system"])
        self._log.restore(state["log"])
