"""A command line's parser, from the options of a verb."""

import argparse
import dataclasses
import inspect
import re
import sys
from collections.abc import Sequence
from typing import Any, Dict, List, NoReturn, Tuple, Type

from ..errors import OptionError, UserError
from ..options import MACHINE, OUTPUT, REQUIRED, Options

LAST = {OUTPUT: 1, MACHINE: 2}  # groups
FLAGS = {"top_k": "--sampling-topk", "top_p": "--sampling-topp"}  # below the options of verbs
Field = Any  # dataclasses.Field


class ArgumentParser(argparse.ArgumentParser):
    """Reports a wrong command line in one line, and leaves the long text to --help."""

    def parse_args(self, words: Any = None, namespace: Any = None) -> Any:
        """A misspelt flag is named before those that are missing for it."""
        words = list(words)
        before = words[: words.index("--")] if "--" in words else words
        flags = [word.partition("=")[0] for word in before if re.fullmatch(r"--\S+", word)]
        unknown = [flag for flag in flags if flag not in self._option_string_actions]
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return super().parse_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        fail(self.prog, f"{message} (see {self.prog} --help)")


def fail(program: str, message: str, code: int = 2) -> NoReturn:
    sys.stderr.write(f"{program}: error: {message}\n")
    sys.exit(code)


def parse(program: str, options: Type[Options], words: Sequence[str]) -> Options:
    """The options that a command line asks for. What is wrong with it ends the process."""
    given = vars(build_parser(program, options).parse_args(words))
    try:
        return options(**given)
    except UserError as error:
        fail(program, f"{in_flags(error, options)} (see {program} --help)")


def in_flags(error: UserError, options: Type[Options]) -> UserError:
    """The same error, which names flags where it names parameters."""
    if not isinstance(error, OptionError):
        return error
    return error.in_flags({**FLAGS, **options.arguments()})


def build_parser(program: str, options: Type[Options]) -> ArgumentParser:
    about, as_it_is = inspect.getdoc(options), argparse.RawDescriptionHelpFormatter
    parser = ArgumentParser(program, None, about, formatter_class=as_it_is, allow_abbrev=False)
    groups: Dict[str, Any] = {"": parser}
    for group, each in in_order(options):
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        flag = f"--{each.name.replace('_', '-')}"
        name = each.name if each.metadata["argument"] else flag
        groups[group].add_argument(name, **_details(each))
    return parser


def in_order(options: Type[Options]) -> List[Tuple[str, Field]]:
    """The fields with their groups: a verb's own first, then what it shares with others."""
    fields, group = [], ""
    for each in dataclasses.fields(options):
        group = group if each.metadata["group"] is None else each.metadata["group"]
        fields.append((group, each))
    shared = {each.name for base in options.__bases__ for each in dataclasses.fields(base)}
    return sorted(fields, key=lambda pair: (LAST.get(pair[0], 0), pair[1].name in shared))


def _details(each: Field) -> Dict[str, Any]:
    """Values are read and checked by the options themselves; here they stay text."""
    details: Dict[str, Any] = {"default": argparse.SUPPRESS, "help": _help(each)}
    if isinstance(each.default, bool):
        return {**details, "action": "store_true"}
    details["metavar"] = each.metadata["metavar"]
    needed, many = each.default is REQUIRED, each.metadata["many"]
    if each.metadata["argument"]:
        return {**details, "nargs": ("+" if many else None) if needed else "*" if many else "?"}
    if each.metadata["repeated"]:
        details["action"] = "append"
    elif many:
        details.update(action="extend", nargs="+")
    return {**details, "required": needed}


def _help(each: Field) -> str:
    words, default = str(each.metadata["help"]).replace("%", "%%"), each.default
    if default in (None, (), False, REQUIRED) or "(default" in words:
        return words
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return f"{words} (default: {shown})"
