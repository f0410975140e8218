"""fairseq-ebm-human-eval: a page on which people compare continuations, and what they said."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import scipy

from ..errors import UserError
from ..files import sha256_of
from ..human_eval.page import REAL, SHUFFLED, Pair, Prompt, compose, identical, page, shown
from ..human_eval.prompts import named, read_prompts
from ..human_eval.qualification import qualify, read_qualified
from ..human_eval.votes import FORMAT_VERSION, FOUR, TIES, Key, read_ballots, read_key, report
from ..records import read_json, write_json
from ..reports.votes import ranking, table
from ..version import __version__
from .program import ArgumentParser, run, share, whole_number

DESCRIPTION = """\
Which text goes on better? Pages that people answer in a browser, without a network,
and what their answers say.

  fairseq-ebm-human-eval export POOLS.jsonl --qualification --dest first.html
  fairseq-ebm-human-eval qualify first.key.json VOTES.json… --results-path RATERS.json
  fairseq-ebm-human-eval export POOLS.jsonl --pair joint,base --num-items 444 --dest page.html
  fairseq-ebm-human-eval analyse page.key.json VOTES.json… --qualified RATERS.json

Send a page to the raters and keep its key. Each rater opens the page, answers, and sends
back the file that it gives at the end.
"""
EXPORT = """\
Writes the page and, beside it, its key. Of every four items one is a check, whose answer is
known: real text goes on better than a model's. With --qualification every item is one.

  fairseq-ebm-human-eval export POOLS.jsonl --pair joint,base --num-items 444 --dest page.html
  fairseq-ebm-human-eval export big=BIG.jsonl small=SMALL.jsonl --pair big.base,small.joint …
"""
QUALIFY = """\
How often raters tell real text from generated on a page of export --qualification, and who
goes on: as in the first paper the better half, those who are right in more than two of three.

  fairseq-ebm-human-eval qualify first.key.json ann.json bob.json --results-path RATERS.json
"""
ANALYSE = """\
Drops the answers to every four items whose check was failed, and counts the others.
Preferences are of the first of each pair, p is one-sided: of all votes, taken as
independent, and of items, each decided by the majority of its votes.

  fairseq-ebm-human-eval analyse page.key.json ann.json bob.json --results-path OUT.json
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-human-eval", description=DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="{export,qualify,analyse}")
    for name, words, text, flags, main_ in (
        ("export", "write a page and its key", EXPORT, add_export_flags, export),
        ("qualify", "choose raters", QUALIFY, add_qualify_flags, qualified),
        ("analyse", "count the votes", ANALYSE, add_analyse_flags, analyse),
    ):
        command = commands.add_parser(name, description=text, help=words)
        command.set_defaults(main=main_)
        flags(command)
        command.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def add_votes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="page.key.json", help="what export wrote beside the page")
    parser.add_argument("votes", nargs="+", metavar="VOTES.json", help="a file of each rater")
    parser.add_argument("--results-path", metavar="OUT.json", help="write the report there")


def add_qualify_flags(parser: argparse.ArgumentParser) -> None:
    add_votes(parser)
    parser.add_argument(
        "--best",
        type=share(),
        default=0.5,
        metavar="SHARE",
        help="of the raters; equal ones go on together (default: 0.5)",
    )
    parser.add_argument(
        "--above",
        type=share(),
        default=2 / 3,
        metavar="SHARE",
        help="of the items that must be right, and more (default: 2/3)",
    )


def add_analyse_flags(parser: argparse.ArgumentParser) -> None:
    add_votes(parser)
    parser.add_argument(
        "--ties",
        choices=tuple(TIES),
        default="half",
        help="a tie is half a win, or dropped, or counts against or for the first (default: half)",
    )
    parser.add_argument(
        "--qualified",
        metavar="RATERS.json",
        help="of qualify --results-path; other raters are dropped",
    )
    parser.add_argument(
        "--max-failed-checks",
        type=whole_number(0),
        metavar="N",
        help="raters who fail more are dropped altogether (default: none is)",
    )


def add_export_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pools",
        nargs="+",
        metavar="[NAME=]POOLS.jsonl",
        help="from fairseq-generate --joint-results-path; shards together. Names tell models apart",
    )
    parser.add_argument(
        "--pair",
        type=pair,
        action="append",
        metavar="FIRST,SECOND",
        help="two of joint, base and real, or of NAME.joint and so on; several pairs share the "
        "items (default: joint,base; with --qualification real,base)",
    )
    parser.add_argument("--dest", required=True, metavar="page.html", help="the page to write")
    parser.add_argument(
        "--num-items",
        type=whole_number(FOUR),
        default=48,
        metavar="N",
        help="items on the page, checks among them (default: 48)",
    )
    checks = parser.add_mutually_exclusive_group()
    checks.add_argument(
        "--check-against",
        metavar="NAME",
        help="what real text is compared with in checks: one of the systems, or shuffled, its own "
        "words in another order (default: the second of the first pair)",
    )
    checks.add_argument(
        "--qualification",
        action="store_true",
        help="every item is a check: real text against others",
    )
    parser.add_argument(
        "--bold-words",
        type=whole_number(0),
        default=15,
        metavar="N",
        help="last words of the context that are bold (default: 15)",
    )
    parser.add_argument("--seed", type=whole_number(0), default=1, help="(default: 1)")
    parser.add_argument("--title", default="Which text goes on better?", help="of the page")


def pair(text: str) -> Pair:
    names = text.split(",")
    if len(names) != 2 or names[0] == names[1] or not all(names):
        raise argparse.ArgumentTypeError(f"'{text}' is not two different names with a comma")
    return names[0], names[1]


def export(arguments: argparse.Namespace) -> None:
    out = Path(arguments.dest)
    default = (REAL, "base") if arguments.qualification else ("joint", "base")
    pairs = arguments.pair or [default]
    files = [named(text) for text in arguments.pools]
    prompts = read_prompts(files, arguments.quiet)
    check_pairs(pairs, prompts, arguments.qualification)
    check = None if arguments.qualification else known_pair(arguments.check_against, pairs, prompts)
    comparisons = compose(prompts, pairs, arguments.num_items, arguments.seed, check)
    name, items = shown(comparisons, arguments.bold_words)
    options = ("num_items", "qualification", "bold_words", "seed", "title")
    key = {
        "format_version": FORMAT_VERSION,
        "page": name,
        "pairs": [list(each) for each in pairs],
        "items": [asdict(each.item) for each in comparisons],
        "provenance": {
            "pools": [{"name": of, "sha256": sha256_of(path)} for of, path in files],
            "identical": identical(prompts, pairs),
            "check": list(check) if check else None,
            "options": {option: getattr(arguments, option) for option in options},
            "versions": {"fairseq_ebm": __version__},
        },
    }
    beside = out.with_suffix(".key.json")
    if beside.exists() and read_json(beside).get("page") != name:
        raise UserError(
            f"--dest: {beside} is the key of another page, whose votes need it; choose another name"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(arguments.title, name, items), encoding="utf-8")
    write_json(key, beside)
    if not arguments.quiet:
        checks = sum(each.item.answer is not None for each in comparisons)
        print(f"written: {out}: {len(comparisons)} items, {checks} of them checks")
        print(f"written: {beside}: whose the texts are; keep it from the raters")
        print("\n".join(left_out(key["provenance"]["identical"])))


def left_out(counts: Sequence[Dict[str, Any]]) -> Iterator[str]:
    for row in counts:
        names = ",".join(row["pair"])
        yield f"{names}: the same words after {row['identical']:,} of {row['prompts']:,} prompts"


def check_pairs(pairs: Sequence[Pair], prompts: Sequence[Prompt], qualification: bool) -> None:
    for names in pairs:
        for name in names:
            require_system(name, "--pair", prompts)
        if qualification and REAL not in names:
            raise UserError(f"--pair: {','.join(names)}: --qualification compares with real text")
    if len({frozenset(names) for names in pairs}) < len(pairs):
        raise UserError("--pair: the same pair twice")


def known_pair(against: Optional[str], pairs: Sequence[Pair], prompts: Sequence[Prompt]) -> Pair:
    """What a check shows: real text, and by default what the first of the pairs has second."""
    name = against or next(name for name in reversed(pairs[0]) if name != REAL)
    if name != SHUFFLED:
        require_system(name, "--check-against", prompts)
    if name == REAL:
        raise UserError("--check-against: real text against itself has no known answer")
    return REAL, name


def require_system(name: str, flag: str, prompts: Sequence[Prompt]) -> None:
    systems = prompts[0].texts
    if name not in systems:
        raise UserError(f"{flag}: '{name}' is none of {', '.join(systems)}")


def qualified(arguments: argparse.Namespace) -> None:
    key = read_key(Path(arguments.key))
    ballots = read_ballots([Path(path) for path in arguments.votes], key)
    raters = qualify(key, ballots, arguments.best, arguments.above)
    write_report(
        arguments,
        key,
        {
            "num_items": len(key.items),
            "best": arguments.best,
            "above": arguments.above,
            "qualified": sum(rater.qualified for rater in raters),
            "raters": [asdict(rater) for rater in raters],
        },
        ranking,
    )


def analyse(arguments: argparse.Namespace) -> None:
    key = read_key(Path(arguments.key))
    names = read_qualified(Path(arguments.qualified)) if arguments.qualified else None
    ballots = read_ballots([Path(path) for path in arguments.votes], key)
    found = report(key, ballots, arguments.ties, arguments.max_failed_checks, names)
    write_report(arguments, key, found, table)


def write_report(
    arguments: argparse.Namespace,
    key: Key,
    found: Dict[str, Any],
    words: Callable[[Dict[str, Any]], str],
) -> None:
    made_by = {
        "key": sha256_of(Path(arguments.key)),
        "votes": [sha256_of(Path(path)) for path in arguments.votes],
        "page": key.provenance,
        "versions": {"fairseq_ebm": __version__, "scipy": scipy.__version__},
    }
    if arguments.results_path:
        out = Path(arguments.results_path)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json({"page": key.page, **found, "provenance": made_by}, out)
    if not arguments.quiet:
        print(words(found))


def main() -> None:
    run(build_parser(), lambda arguments: arguments.main(arguments))


if __name__ == "__main__":
    main()
