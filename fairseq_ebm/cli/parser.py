"""A command line's parser, from the options of a verb."""

import argparse
import dataclasses
import inspect
import sys
from typing import Any, Dict, List, NoReturn, Sequence, Tuple, Type

from ..errors import OptionError, UserError
from ..options import MACHINE, OUTPUT, REQUIRED, Options, kind_of

# What is called otherwise in Python, below the options of verbs.
LAST = {OUTPUT: 1, MACHINE: 2}  # groups
FLAGS = {"top_k": "--sampling-topk", "top_p": "--sampling-topp"}


class ArgumentParser(argparse.ArgumentParser):
    """Reports a wrong command line in one line, and leaves the long text to --help."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **kwargs
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parse(program: str, options: Type[Options], words: Sequence[str]) -> Options:
    """The options that a command line asks for. What is wrong with it ends the process."""
    parser = build_parser(program, options)
    given = vars(parser.parse_args(words))
    try:
        return options(**given)
    except UserError as error:
        parser.exit(2, f"{program}: error: {in_flags(error, options)} (see {program} --help)\n")


def in_flags(error: UserError, options: Type[Options]) -> UserError:
    """The same error, which names flags where it names parameters."""
    flags = {**FLAGS, **options.flags()}
    return error.in_flags(flags) if isinstance(error, OptionError) else error


def build_parser(program: str, options: Type[Options]) -> ArgumentParser:
    parser = ArgumentParser(prog=program, description=inspect.getdoc(options))
    groups: Dict[str, Any] = {"": parser}
    for each in in_order(options):
        group = each.metadata["group"]
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        groups[group].add_argument(*_names(each), **_details(each))
    return parser


def in_order(options: Type[Options]) -> List["dataclasses.Field[Any]"]:
    """A verb's own options first, then what it shares with others."""
    shared = {each.name for base in options.__bases__ for each in dataclasses.fields(base)}

    def rank(each: "dataclasses.Field[Any]") -> Tuple[int, bool]:
        return LAST.get(each.metadata["group"], 0), each.name in shared

    return sorted(dataclasses.fields(options), key=rank)


def _names(each: "dataclasses.Field[Any]") -> List[str]:
    is_positional = each.metadata["positional"]
    return [each.name] if is_positional else [f"--{each.name.replace('_', '-')}"]


def _details(each: "dataclasses.Field[Any]") -> Dict[str, Any]:
    """Values are read and checked by the options themselves; here they stay text."""
    details: Dict[str, Any] = {"default": argparse.SUPPRESS, "help": _help(each)}
    if isinstance(each.default, bool):
        return {**details, "action": "store_true"}
    names = getattr(kind_of(each), "names", None)
    metavar = each.metadata["metavar"] or (
        "{" + ",".join(names) + "}" if names else "N" if each.metadata["kind"] else "NAME"
    )
    details["metavar"] = metavar
    if each.metadata["positional"]:
        details["nargs"] = "*" if each.metadata["many"] else "?"  # what is missing, options say
    elif each.metadata["many"]:
        details.update(nargs="+", action="extend")
    return details


def _help(each: "dataclasses.Field[Any]") -> str:
    words = str(each.metadata["help"]).replace("%", "%%")
    is_told = each.default in (None, (), False, REQUIRED) or "(default" in words
    return words if is_told else f"{words} (default: {_shown(each.default)})"


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else f"{value}"


def fail(program: str, message: str, code: int = 2) -> NoReturn:
    sys.stderr.write(f"{program}: error: {message}\n")
    sys.exit(code)
