"""Work in stages, each a program of its own: skipped once it is done, gone on with after an
interrupt, and done anew, with all that depends on it, once its command has changed."""

import argparse
import fcntl
import hashlib
import json
import shlex
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Dict, Optional, Set, Tuple
from urllib.parse import quote

import yaml

from ..cli.program import whole_number
from ..errors import UserError
from ..records import read_json, write_json
from . import children
from .inputs import PACKAGE, Inputs, versions
from .running import Running, clear_line, clock, stop

STATES = ".stages"  # the folder of what a run knows about its stages
FILES = (".json", ".jsonl", ".html")  # stages called so make a file, others a folder
WAIT = 0.2  # seconds between two looks at what runs
INTERRUPTED = (130, 143)


@dataclass(frozen=True)
class Stage:
    """``name`` is also the path, within the run's folder, of what the command writes: a folder, or
    a file with others beside it.

    ``command``: the name of an installed program, then its arguments. ``needs``: names of stages.
    """

    name: str
    title: str
    command: Tuple[str, ...]
    needs: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.name).parts
        if not parts or parts[0] in ("/", STATES) or ".." in parts:
            raise UserError(f"'{self.name}' cannot be the name of a stage, and of what it makes")

    @property
    def stem(self) -> str:
        """What the names of all its files begin with: OUT of OUT.json, the whole of a folder's."""
        suffix = PurePosixPath(self.name).suffix
        return self.name[: -len(suffix)] if suffix in FILES else self.name


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dest", required=True, metavar="DIR", help="folder of all that is made")
    parser.add_argument(
        "--jobs",
        type=whole_number(1),
        default=1,
        help="stages at a time; where there may be several, they have one thread each (default: 1)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run nothing")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def read_yaml(path: Path, sections: Sequence[str]) -> Dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    there = content if isinstance(content, dict) else {}
    missing = [name for name in sections if not isinstance(there.get(name), dict)]
    if missing:
        raise UserError(f"{path}: has no section {', '.join(missing)}")
    return there


def in_words(stages: Sequence[Stage]) -> str:
    """The commands, to be read or run by hand."""
    return "\n".join(f"# {stage.title}\n{shlex.join(stage.command)}" for stage in stages)


def threads_of(stages: Sequence[Stage], jobs: int) -> Dict[str, Optional[int]]:
    """One for each stage beside which another may run; None, all that there are, for the others.
    What else happens to run decides nothing: sums in another number of threads end otherwise."""
    before: Dict[str, Set[str]] = {}
    for stage in stages:  # in order: each stands after what it needs
        before[stage.name] = set(stage.needs).union(*(before[name] for name in stage.needs))
    return {
        one: None
        if jobs == 1 or all(one == o or one in before[o] or o in before[one] for o in before)
        else 1
        for one in before
    }


def depths(stages: Sequence[Stage]) -> Dict[str, int]:
    """How many stages stand on each, one on the other, in the longest such chain."""
    found = {stage.name: 0 for stage in stages}
    for stage in reversed(stages):
        for name in stage.needs:
            found[name] = max(found[name], found[stage.name] + 1)
    return found


class Run:
    """A folder with stages; ``jobs`` of them run at a time.

    FOLDER/.stages/NAME.json holds what a stage was begun with, and whether it is done. A stage is
    known by its command, by what that reads from outside FOLDER, by the versions that run it, and
    by what the stages under it are known by.
    """

    def __init__(self, folder: Path, stages: Sequence[Stage], jobs: int, quiet: bool) -> None:
        self.folder, self.stages, self.jobs, self.quiet = folder, list(stages), jobs, quiet
        self.prints: Dict[str, str] = {}
        self.threads = threads_of(self.stages, jobs)
        self.depths = depths(self.stages)
        self.inputs = Inputs(folder, folder / STATES / "inputs")
        for stage in self.stages:  # in order: each stands after what it needs
            parts = [  # the same wherever the run and this package lie, and on whichever machine
                part.replace(str(folder), "FOLDER").replace(str(PACKAGE), "PACKAGE")
                for part in stage.command
                if part != "--cpu"
            ]
            parts += [self.prints[name] for name in stage.needs]
            parts += [*self.inputs.of(stage.command), *versions()]
            self.prints[stage.name] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def run(self) -> None:
        with self._alone():
            self.inputs.save()
            self._run()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two at once in a folder would undo each other's work."""
        path = self.folder / STATES / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(f"--dest: {self.folder}: another run is at work there") from None
            yield

    def _run(self) -> None:
        waiting = [stage for stage in self.stages if not self._is_done(stage)]
        waiting.sort(key=lambda stage: -self.depths[stage.name])  # or the last ones wait in a row
        self._say(f"{len(self.stages) - len(waiting)} of {len(self.stages)} stages are done")
        running: Dict[str, Running] = {}
        done = {stage.name for stage in self.stages} - {stage.name for stage in waiting}
        try:
            while waiting or running:
                ready = [s for s in waiting if done.issuperset(s.needs)][: self.jobs - len(running)]
                for stage in ready:
                    waiting.remove(stage)
                    with children.uninterrupted():
                        running[stage.name] = self._begin(stage)
                time.sleep(WAIT)
                for stage in [each for each in self.stages if each.name in running]:
                    if self._look_at(stage, running[stage.name]):
                        done.add(stage.name)
                        del running[stage.name]
        finally:
            with children.uninterrupted():
                stop(list(running.values()))

    def _is_done(self, stage: Stage) -> bool:
        state, out = self._state(stage), self.folder / stage.name
        same = state.get("print") == self.prints[stage.name]
        return same and bool(state.get("done")) and out.exists()

    def _state(self, stage: Stage) -> Dict[str, object]:
        path = self._state_path(stage)
        return read_json(path) if path.exists() else {}

    def _state_path(self, stage: Stage) -> Path:
        return self.folder / STATES / f"{quote(stage.name, safe='')}.json"

    def _begin(self, stage: Stage) -> Running:
        out = self.folder / stage.name
        state = self._state(stage)
        if not state and out.exists():
            raise UserError(
                f"--dest: {out} is there, and no run of ours has made it; choose another directory"
            )
        if state.get("print") != self.prints[stage.name]:
            self._remove(stage)
        out.parent.mkdir(parents=True, exist_ok=True)
        self._write_state(stage)
        place = self.stages.index(stage) + 1
        label = f"[{place}/{len(self.stages)}] {stage.title}"
        self._say(label)
        log = out.with_name(f"{out.name}.log")
        return Running(stage.command, label, log, self.threads[stage.name])

    def _remove(self, stage: Stage) -> None:
        """What it made: a folder, or OUT.json and what programs write beside it, OUT.*; but not
        what another stage, OUT.more.json, has made."""
        out = self.folder / stage.name
        if out.is_dir():
            shutil.rmtree(out)
        others = [other for other in self.stages if other.name != stage.name]
        for path in out.parent.glob("*") if out.parent.exists() else ():
            name = str(path.relative_to(self.folder))
            taken = any(
                name == other.name
                or (len(other.stem) > len(stage.stem) and name.startswith(f"{other.stem}."))
                for other in others
            )
            ours = stage.stem != stage.name and name.startswith(f"{stage.stem}.")
            if ours and not taken and path.is_file() and path.suffix != ".log":
                path.unlink()

    def _write_state(self, stage: Stage, seconds: Optional[float] = None) -> None:
        """``seconds`` that its last process took; None: it is not done."""
        state: Dict[str, object] = {"print": self.prints[stage.name], "done": seconds is not None}
        state["command"] = list(stage.command)
        if seconds is not None:
            state["seconds"] = round(seconds, 1)
        write_json(state, self._state_path(stage))

    def _look_at(self, stage: Stage, running: Running) -> bool:
        """Has it come to its end? If that is a bad one, so has the run."""
        code = running.process.exitcode
        if code is None:
            running.tell(self.quiet)
            return False
        running.signal(signal.SIGKILL)  # workers that read data, which may outlive it
        if not self.quiet:
            clear_line()
        if code in INTERRUPTED or code == -signal.SIGINT:
            raise KeyboardInterrupt
        if code != 0:
            how = f"killed by signal {-code}" if code < 0 else running.last_line()
            raise UserError(f"{stage.title}: failed: {how} (its whole output: {running.log})")
        if not (self.folder / stage.name).exists():
            raise UserError(f"{stage.title}: ended without {stage.name}")
        seconds = time.monotonic() - running.began
        self._write_state(stage, seconds)
        self._say(f"{running.label}: done in {clock(seconds)}")
        return True

    def _say(self, line: str) -> None:
        if not self.quiet:
            clear_line()
            print(line, flush=True)
