"""What a stage is known by: its command, the files that this reads and no stage has made, the
versions of the software, and what the stages are known by that it needs."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Dict, List

from ..files import sha256_of, visible_in
from ..records import read_json, write_json
from ..version import __version__
from .stages import Stage

PACKAGE = Path(__file__).resolve().parents[1]
FAIRSEQ = "fairseq" if sys.version_info < (3, 11) else "fairseq-fixed"  # as in setup.py


def versions() -> List[str]:
    """Without "+cpu" or "+cu121": the kind of machine is no part of what a stage makes."""
    return [__version__, version(FAIRSEQ), version("torch").partition("+")[0]]


def paths_in(command: Sequence[str]) -> Iterator[Path]:
    """The files and folders that a command names: PATH, --flag=PATH, PATH:PATH*WEIGHT.

    A folder's path has a slash: the folder data is written ./data, so that words such as test are
    none."""
    for word in command:
        value = word.partition("=")[2] if word.startswith("--") else word
        for part in [value] if os.path.exists(value) else value.split(":"):
            name = part if os.path.exists(part) else part.partition("*")[0]  # PATH*WEIGHT
            if os.path.isfile(name) or ("/" in name and os.path.exists(name)):
                yield Path(name).resolve()


class Inputs:
    """Hashes of the files that commands name; of a folder, of all in it but hidden files. Left out
    are ``made``, the folder of what stages make, and this package, which its version stands for.

    ``memory`` keeps the hashes of files that do not change: corpora are large."""

    def __init__(self, made: Path, memory: Path) -> None:
        self._ours = (made.resolve(), PACKAGE)
        self._memory_path = memory
        self._memory: Dict[str, List[object]] = read_json(memory) if memory.exists() else {}

    def of(self, command: Sequence[str]) -> List[str]:
        return [digest for path in paths_in(command) for digest in self._digests(path)]

    def save(self) -> None:
        write_json(self._memory, self._memory_path)

    def _digests(self, path: Path) -> Iterator[str]:
        if path.is_file():
            if self._is_theirs(path):
                yield self._digest(path)
        elif path.parent != path:  # "/" in a text is no folder that anyone reads
            files = [f for f in visible_in(path) if self._is_theirs(f) and f.is_file()]
            lines = [f"{file.relative_to(path)} {self._digest(file)}" for file in files]
            if lines:
                yield hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _is_theirs(self, path: Path) -> bool:
        return not any(ours == path or ours in path.parents for ours in self._ours)

    def _digest(self, path: Path) -> str:
        """ctime changes with the content, whatever a copy does with mtime."""
        stat = path.stat()
        state: List[object] = [stat.st_size, stat.st_ctime_ns, stat.st_ino]
        if self._memory.get(str(path), [])[:-1] != state:
            self._memory[str(path)] = [*state, sha256_of(path)]
        return str(self._memory[str(path)][-1])


def fingerprints(stages: Sequence[Stage], folder: Path, inputs: Inputs) -> Dict[str, str]:
    """By stage; the same wherever ``folder`` and this package are, with a GPU or without."""
    known: Dict[str, str] = {}
    for stage in stages:  # each comes after what it needs
        words = [word for word in stage.command if word != "--cpu"]
        parts = [w.replace(str(folder), "FOLDER").replace(str(PACKAGE), "PACKAGE") for w in words]
        parts += [known[name] for name in stage.needs]
        parts += [*inputs.of(stage.command), *versions()]
        known[stage.name] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return known
