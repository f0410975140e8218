"""What was chosen while a language model trained: a line of JSON every so many updates.

    {"update", "updates", "chosen", "distinct", "share": {source: …}, "effective", "concentration",
     "selecting", "seconds", … what the system says of itself}
    {"update", "seconds", "valid": {subset: loss in nats a token}}             after a validation

Means and shares are of the updates since the line before; ``distinct`` of all since the start.
``updates`` were made in ``seconds``, of which ``selecting`` were spent on choosing and on learning
to choose; reading, validation and writing are in neither.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..files import write_whole
from ..numerics.selection import concentration
from ..numerics.weights import effective_sample_size
from ..options import Record
from ..records import strict_json

LOG_NAME = "selection.jsonl"
Labels = Optional[Tuple[List[str], np.ndarray]]  # names of sources, and of each example which


class Log:
    """``count`` examples; ``path`` None: no process writes but the first."""

    def __init__(self, path: Optional[Path], every: int, count: int, labels: Labels) -> None:
        self._path, self._every, self._labels = path, every, labels
        self._seen = np.zeros(count, dtype=bool)
        self._sums: Dict[str, float] = {}
        self._seconds, self._began = 0.0, time.monotonic()

    def chosen(self, ids: np.ndarray) -> None:
        """Of all processes."""
        self._seen[ids] = True
        self.add("chosen", len(ids))
        if self._labels is not None:
            names, labels = self._labels
            for name, number in zip(names, np.bincount(labels[ids], minlength=len(names))):
                self.add(f"share/{name}", number)

    def scored(self, scores: Tensor, size: int) -> None:
        scores = scores.detach()
        self.mean("effective", float(effective_sample_size(scores)))
        self.mean("concentration", concentration(scores, size))

    def mean(self, name: str, value: float) -> None:
        """Its mean will be in the next line."""
        self.add(f"mean/{name}", value)
        self.add(f"of/{name}", 1)

    def add(self, name: str, value: float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + float(value)

    @contextmanager
    def selecting(self, device: torch.device) -> Iterator[None]:
        """What is done within it is selecting; what a GPU has yet to do of training, is not."""
        _wait_for(device)
        began = time.monotonic()
        yield
        _wait_for(device)
        self.add("selecting", time.monotonic() - began)

    def update(self, update: int) -> None:
        """One is done."""
        now = time.monotonic()
        self.add("seconds", now - self._began)
        self.add("updates", 1)
        if update % self._every == 0:
            self._write(self._line(update))
            self._seconds += self._sums.get("seconds", 0.0)
            self._sums = {}

    def begins(self) -> None:
        """An update does; what was before it is no training: reading, validation, writing."""
        self._began = time.monotonic()

    def valid(self, update: int, losses: Mapping[str, float]) -> None:
        seconds = self._seconds + self._sums.get("seconds", 0.0)
        self._write({"update": update, "seconds": round(seconds, 3), "valid": dict(losses)})

    def _line(self, update: int) -> Record:
        sums = self._sums
        total = sums.get("chosen", 0.0)
        shares = {n[6:]: v / max(1.0, total) for n, v in sums.items() if n.startswith("share/")}
        means = {n[5:]: v / sums[f"of/{n[5:]}"] for n, v in sums.items() if n.startswith("mean/")}
        line: Record = {
            "update": update,
            "updates": int(sums["updates"]),
            "chosen": int(total),
            "distinct": int(self._seen.sum()),
        }
        line.update({"share": shares} if shares else {})
        times = {name: round(sums.get(name, 0.0), 3) for name in ("selecting", "seconds")}
        return {**line, **means, **times}

    def _write(self, line: Record) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(strict_json(line) + "\n")

    def state(self) -> Dict[str, Any]:
        packed = torch.from_numpy(np.packbits(self._seen))
        return {"seen": packed, "sums": dict(self._sums), "seconds": self._seconds}

    def restore(self, state: Dict[str, Any]) -> None:
        """Without ``seen``, of other text: only the clock goes on."""
        self._seconds = state["seconds"]
        if "seen" in state:
            seen = np.unpackbits(state["seen"].numpy(), count=len(self._seen))
            self._seen, self._sums = seen.astype(bool), dict(state["sums"])

    def begin(self, update: int) -> None:
        """Keeps of the file what was before ``update``: a run that goes on writes the rest anew."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_log(self._path) if line["update"] <= update]
        kept = kept if update else []
        write_whole(self._path, "".join(strict_json(line) + "\n" for line in kept).encode())


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def read_log(path: Path) -> List[Record]:
    """Its lines; one that was cut off is left out."""
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        if not all(isinstance(line["update"], int) for line in found):
            raise ValueError("no update")
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not a log of selection ({error!r})") from None
    return found
