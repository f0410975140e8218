"""fairseq-ebm-run: a recipe, which is a file of commands that stand on one another."""

import argparse
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, List

from ..cli.program import ArgumentParser, run
from ..errors import UserError
from .children import installed_programs
from .inputs import PACKAGE
from .stages import Run, Stage, add_run_flags, in_words, read_yaml

DESCRIPTION = """\
Runs the stages of RECIPE.yaml: skips what is done, goes on with what was interrupted,
and makes anew what changed, with all that stands on it. A changed command is a change, and
so are changed files that it names, and other versions of fairseq_ebm, fairseq or torch.

  fairseq-ebm-run examples/demo/demo.yaml --dest runs/demo --jobs 2
  fairseq-ebm-run examples/demo/demo.yaml --dest runs/demo --size full --dry-run

docs/formats.md describes the file. Each stage's output goes to a log beside what it makes.
"""

DEEPEST = 20  # words in words
REFERENCE = re.compile(r"\{([\w./-]+)\}")


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-run", description=DESCRIPTION)
    parser.add_argument("recipe", metavar="RECIPE.yaml")
    add_run_flags(parser)
    parser.add_argument(
        "--size", metavar="NAME", help="one of the recipe's sizes, of which it may name a default"
    )
    return parser


def follow(arguments: argparse.Namespace) -> None:
    path, folder = Path(arguments.recipe), Path(arguments.dest).resolve()
    content = read_yaml(path, ("stages",))
    stages = stages_of(path, content, folder, arguments.size or content.get("default_size"))
    if arguments.dry_run:
        print(in_words(stages))
        return
    Run(folder, stages, arguments.jobs, arguments.quiet).run()
    if not arguments.quiet:
        print(f"Done. Everything is in {folder}")


def stages_of(path: Path, content: Mapping[str, Any], folder: Path, size: Any) -> List[Stage]:
    words = words_of(path, content, size)
    stages: Dict[str, Stage] = {}
    for name, given in content["stages"].items():
        if not isinstance(given, dict) or not str(given.get("run") or "").strip():
            raise UserError(f"{path}: stage {name}: has no command (run)")
        if str(given.get("only", size)) == str(size):
            stages[str(name)] = stage_of(path, str(name), given, words, stages, folder)
    return list(stages.values())


def words_of(path: Path, content: Mapping[str, Any], size: Any) -> Dict[str, str]:
    """The recipe's own words, those of the chosen size before the general ones."""
    sizes = {str(key): value for key, value in section(path, content, "sizes").items()}
    if size is not None and str(size) not in sizes:
        there = ", ".join(sizes) or "none"
        raise UserError(f"--size: {path} has no size {size}; it has {there}")
    found = {**section(path, content, "words"), **section(path, sizes, str(size))}
    return {str(name): str(value) for name, value in found.items()}


def section(path: Path, content: Mapping[str, Any], name: str) -> Dict[str, Any]:
    found = content.get(name) or {}
    if not isinstance(found, dict):
        raise UserError(f"{path}: {name}: not names with what they stand for")
    return found


def stage_of(
    path: Path,
    name: str,
    given: Mapping[str, Any],
    words: Mapping[str, str],
    before: Mapping[str, Stage],
    folder: Path,
) -> Stage:
    """``{word}`` becomes what it stands for, and ``{stage}`` the path of what that stage makes."""
    places = {"here": str(path.parent), "plugin": str(PACKAGE)}
    needs: List[str] = []

    def place(match: "re.Match[str]") -> str:
        other = match.group(1)
        if other in places:
            return places[other]
        if other != name and other not in before:
            raise UserError(f"{path}: stage {name}: {{{other}}} is no word and no earlier stage")
        if other != name and other not in needs:
            needs.append(other)
        return str(folder / other)

    where = f"{path}: stage {name}"
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
    return Stage(name, title, tuple(command), tuple(needs))


def spelled_out(text: str, words: Mapping[str, str], where: str) -> str:
    """Words may hold words."""
    for _ in range(DEEPEST):
        longer = REFERENCE.sub(lambda match: words.get(match.group(1), match.group(0)), text)
        if longer == text:
            return text
        text = longer
    raise UserError(f"{where}: its words stand for one another without an end")


def main() -> None:
    run(build_parser(), follow)


if __name__ == "__main__":
    main()
