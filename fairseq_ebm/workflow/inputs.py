"""What a command reads that no stage has made, and what it runs with: part of what a stage is known
by."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Dict, List

import fairseq
import torch

from ..files import sha256_of
from ..records import read_json, write_json
from ..version import __version__

PACKAGE = Path(__file__).resolve().parents[1]


def versions() -> List[str]:
    """Without "+cpu" or "+cu121": which machine computes a stage changes nothing."""
    return [__version__, fairseq.__version__, str(torch.__version__).partition("+")[0]]


def paths_in(command: Sequence[str]) -> Iterator[Path]:
    """What is there of the paths that a command names: PATH, --flag=PATH, PATH:PATH."""
    for word in command:
        value = word.partition("=")[2] if word.startswith("--") else word
        for name in [value] if os.path.exists(value) else value.split(":"):
            if os.path.exists(name):
                yield Path(name).resolve()


class Inputs:
    """Hashes of the files that commands name; of a folder, of all in it but hidden files. Left out
    are ``made``, the folder of what stages make, and this package, for which its version stands.

    ``memory`` keeps the hashes of files that do not change: corpora are large.
    """

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
            lines = [
                f"{file.relative_to(path)} {self._digest(file)}"
                for file in sorted(path.rglob("*"))
                if not any(part.startswith(".") for part in file.relative_to(path).parts)
                and self._is_theirs(file)
                and file.is_file()
            ]
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
