"""Recipes: stages by name, each with a command that names the stages it needs."""

import re
import shlex
from collections.abc import Container
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..errors import OptionError, UserError
from .children import installed_programs
from .files import Names, section
from .inputs import PACKAGE
from .stages import Stage

DEEPEST = 20  # words in words
REFERENCE = re.compile(r"\{([\w./-]+)\}")


def stages_of(path: Path, content: Names, folder: Path, size: Optional[str] = None) -> List[Stage]:
    """Those of one size, the recipe's own by default, each after what it needs."""
    size = size or content.get("default_size")
    words = words_of(path, content, size)
    stages: Dict[str, Stage] = {}
    for name, given in section(path, content, "stages", needed=True).items():
        if not isinstance(given, dict) or not str(given.get("run") or "").strip():
            raise UserError(f"{path}: stage {name}: has no command (run)")
        if str(size) in _sizes(given.get("only", size)):
            stages[str(name)] = stage_of(path, str(name), given, words, stages, folder)
    return list(stages.values())


def _sizes(only: Any) -> List[str]:
    """That a stage is there for: one, or several."""
    return [str(size) for size in (only if isinstance(only, list) else [only])]


def words_of(path: Path, content: Names, size: Any) -> Dict[str, str]:
    """The recipe's own words, those of the chosen size before the general ones."""
    sizes = {str(key): value for key, value in section(path, content, "sizes").items()}
    if size is not None and str(size) not in sizes:
        there = ", ".join(sizes) or "none"
        raise OptionError(f"{{size}}: {path} has no size {size}; it has {there}")
    words = {**section(path, content, "words"), **section(path, sizes, str(size))}
    return {str(name): str(value) for name, value in words.items()}


def stage_of(
    path: Path, name: str, given: Names, words: Names, before: Container[str], folder: Path
) -> Stage:
    """``{word}`` becomes what it stands for, and ``{stage}`` the path of that stage's folder."""
    places = {"here": str(path.parent), "plugin": str(PACKAGE)}
    needs, where = [], f"{path}: stage {name}"

    def place(match: "re.Match[str]") -> str:
        other = match[1]
        if other in places:
            return places[other]
        if other != name:
            if other not in before:
                raise UserError(f"{where}: {{{other}}} is no word and no earlier stage")
            needs.append(other)
        return str(folder / other)

    try:
        parts = shlex.split(spelled_out(str(given["run"]), words, where))
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    command = [REFERENCE.sub(place, part) for part in parts]
    is_file = command[0].endswith(".py")
    if not is_file and command[0] not in installed_programs():
        raise UserError(f"{where}: {command[0]} is not installed")
    if is_file and not Path(command[0]).is_file():
        raise UserError(f"{where}: {command[0]}: no such file")
    title = spelled_out(str(given.get("title", name)), words, where)
    return Stage(name, title, tuple(command), tuple(dict.fromkeys(needs)))


def spelled_out(text: str, words: Names, where: str) -> str:
    """Words may hold words."""
    for _ in range(DEEPEST):
        longer = REFERENCE.sub(lambda match: words.get(match[1], match[0]), text)
        if longer == text:
            return text
        text = longer
    raise UserError(f"{where}: its words stand for one another without end")
