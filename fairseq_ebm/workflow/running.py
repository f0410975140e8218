"""A stage at work: a process whose output goes to a file, and its last line to whoever waits."""

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Optional

from . import children
from .stages import Stage

PATIENCE = 10.0  # seconds that an interrupted stage may take
REPORTED_EVERY = 30.0  # seconds, where output is no terminal
LOGGED = re.compile(r"^[\d-]+ [\d:]+ \| \w+ \| [\w.]+ \| ")  # what fairseq puts before its messages


class Running:
    def __init__(self, stage: Stage, number: str, log: Path, threads: Optional[int]) -> None:
        """``number``: [3/16]"""
        self.stage, self.number, self.log = stage, number, log
        self.began = self.reported = time.monotonic()
        self.process = children.start(stage.command, log, threads)

    def last_line(self) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4000))
            lines = file.read().decode("utf-8", "replace").replace("\r", "\n").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return LOGGED.sub("", last)

    def report(self) -> None:
        """How long it has been at work and its last line, now and then."""
        terminal = sys.stderr.isatty()
        now = time.monotonic()
        if now - self.reported < (1.0 if terminal else REPORTED_EVERY):
            return
        self.reported = now
        width = shutil.get_terminal_size().columns if terminal else 160
        words = self.last_line() or self.stage.title
        line = f"  {clock(now - self.began)} {self.number} {words}"[: width - 1]
        clear_line()
        sys.stderr.write(line if terminal else f"{line}\n")
        sys.stderr.flush()

    def signal(self, number: int) -> None:
        """To the stage and all processes that it has started."""
        with suppress(ProcessLookupError):  # it has no session yet, or no longer
            os.killpg(self.process.pid, number)


def stop(running: Sequence[Running]) -> None:
    """As Ctrl-C would, so that what they have begun can be resumed."""
    for each in running:
        if each.process.exitcode is None:
            each.signal(signal.SIGINT)
    until = time.monotonic() + PATIENCE
    for each in running:
        each.process.join(max(0.0, until - time.monotonic()))
    for each in running:
        each.signal(signal.SIGKILL)
        each.process.join()


def clear_line() -> None:
    """Of a terminal: the last report of a stage, which does not end its line."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
