"""Stages at work in a folder: each is skipped once it is done, resumed after an interrupt, and
rebuilt, with all that depends on it, once its fingerprint has changed."""

import fcntl
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, List
from urllib.parse import quote

from ..errors import OptionError, UserError
from ..options import Record
from ..records import read_json, write_json
from . import children
from .inputs import Inputs, fingerprints
from .running import Running, clear_line, clock, stop
from .stages import LOG, STATES, Stage, depths, require_apart, threads_of

WAIT = 0.2  # seconds between two looks at what runs
INTERRUPTED = (130, 143, -signal.SIGINT)


class Runner:
    """``jobs`` of the stages run at a time. FOLDER/.stages/NAME.json has the fingerprint that a
    stage was begun with, and whether it is done."""

    def __init__(self, folder: Path, stages: Sequence[Stage], jobs: int, quiet: bool) -> None:
        """``stages``: each after what it needs"""
        require_apart(stages)
        self.folder, self.stages, self.jobs, self.quiet = folder, list(stages), jobs, quiet
        self.threads = threads_of(self.stages, jobs)
        self.inputs = Inputs(folder, folder / STATES / "inputs")
        self.fingerprints = fingerprints(self.stages, folder, self.inputs)

    def run(self) -> None:
        with self._alone():
            self.inputs.save()
            self._run()

    def say(self, line: str) -> None:
        if not self.quiet:
            clear_line()
            print(line, flush=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two at once in a folder would undo each other's work."""
        path = self.folder / STATES / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                problem = "another run is at work there"
                raise OptionError(f"{{dest}}: {self.folder}: {problem}") from None
            yield

    def _run(self) -> None:
        waiting = [stage for stage in self.stages if not self._is_done(stage)]
        done = {stage.name for stage in self.stages} - {stage.name for stage in waiting}
        self.say(f"{len(done)} of {len(self.stages)} stages are done")
        chains = depths(self.stages)
        waiting.sort(key=lambda stage: -chains[stage.name])  # or a long chain would begin last
        running: List[Running] = []
        try:
            while waiting or running:
                ready = [s for s in waiting if done.issuperset(s.needs)][: self.jobs - len(running)]
                for stage in ready:
                    waiting.remove(stage)
                    with children.uninterrupted():
                        running.append(self._begin(stage))
                time.sleep(WAIT)
                for each in [each for each in running if self._has_ended(each)]:
                    done.add(each.stage.name)
                    running.remove(each)
        finally:
            with children.uninterrupted():
                stop(running)

    def _is_done(self, stage: Stage) -> bool:
        state = self._state(stage)
        same = state.get("fingerprint") == self.fingerprints[stage.name]
        files = state.get("files") or []
        is_there = all((self.folder / stage.name / name).exists() for name in files)
        return same and bool(state.get("done")) and bool(files) and is_there

    def _state_path(self, stage: Stage) -> Path:
        return self.folder / STATES / f"{quote(stage.name, safe='')}.json"

    def _state(self, stage: Stage) -> Record:
        path = self._state_path(stage)
        return read_json(path) if path.exists() else {}

    def _write_state(self, stage: Stage, **state: Any) -> None:
        write_json({**state, "command": list(stage.command)}, self._state_path(stage))

    def _begin(self, stage: Stage) -> Running:
        out, fingerprint = self.folder / stage.name, self.fingerprints[stage.name]
        state = self._state(stage)
        if not state and out.exists():
            problem = "exists, and no run of ours has made it; choose another directory"
            raise OptionError(f"{{dest}}: {out} {problem}")
        if state.get("fingerprint") != fingerprint and out.exists():
            self._write_state(stage, done=False)  # a run killed here leaves a part of the folder
            shutil.rmtree(out)
        self._write_state(stage, fingerprint=fingerprint, done=False)
        out.mkdir(parents=True, exist_ok=True)
        number = f"[{self.stages.index(stage) + 1}/{len(self.stages)}]"
        self.say(f"{number} {stage.title}")
        return Running(stage, number, out.with_name(out.name + LOG), self.threads[stage.name])

    def _has_ended(self, running: Running) -> bool:
        """If it has ended badly, so does the run."""
        stage, code = running.stage, running.process.exitcode
        if code is None:
            if not self.quiet:
                running.report()
            return False
        running.signal(signal.SIGKILL)  # to workers that read data, which may outlive it
        if not self.quiet:
            clear_line()
        if code in INTERRUPTED:
            raise KeyboardInterrupt
        if code != 0:
            how = f"killed by signal {-code}" if code < 0 else running.last_line()
            raise UserError(f"{stage.title}: failed: {how} (all of its output: {running.log})")
        files = sorted(path.name for path in (self.folder / stage.name).iterdir())
        if not files:
            raise UserError(f"{stage.title}: ended with nothing in {self.folder / stage.name}")
        seconds = time.monotonic() - running.began
        fingerprint = self.fingerprints[stage.name]
        found = {"done": True, "files": files, "seconds": round(seconds, 1)}
        self._write_state(stage, fingerprint=fingerprint, **found)
        self.say(f"{running.number} {stage.title}: done in {clock(seconds)}")
        return True
