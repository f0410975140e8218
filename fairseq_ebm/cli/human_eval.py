"""fairseq-ebm-human-eval: a page on which people compare continuations, and what they said."""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Tuple

import scipy

from ..analysis.preferences import FORMAT_VERSION, TIES, read_ballots, read_key, report
from ..data.store import sha256_of
from ..errors import UserError
from ..records import read_json, write_json
from ..reports.human_eval import EVERY, REAL, Pair, Prompt, compose, identical, page, shown
from ..version import __version__
from .program import ArgumentParser, progress, run, whole_number
from .report import lines

DESCRIPTION = """\
Which text goes on better? A page that people answer in a browser, without a network,
and what their answers say.

  fairseq-ebm-human-eval export POOLS.jsonl --pair joint,base --dest page.html
      [--num-items 50] [--bold-words 15] [--seed 1] [--title "…"]
  fairseq-ebm-human-eval analyse page.key.json VOTES.json…
      [--ties half|drop|against|for] [--max-failed-checks 0] [--results-path OUT.json]

Send page.html to the raters and keep page.key.json. Each rater opens the page, answers,
and sends back the file that it gives at the end.
"""
EXPORT = """\
Writes the page and, beside it, its key. Of every four items one is an attention check: what
really follows, against its own words in another order.

  fairseq-ebm-human-eval export POOLS.jsonl --pair joint,base --pair joint,real --dest page.html
  fairseq-ebm-human-eval export big=BIG.jsonl small=SMALL.jsonl --pair big.base,small.joint …
"""
ANALYSE = """\
Drops raters who fail checks. Preferences are of the first of each pair, p is one-sided: of
all votes, taken as independent, and of items, each decided by the majority of its votes.

  fairseq-ebm-human-eval analyse page.key.json ann.json bob.json --results-path OUT.json
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-human-eval", description=DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="{export,analyse}")
    exporting = commands.add_parser("export", description=EXPORT, help="write a page and its key")
    exporting.set_defaults(main=export)
    add_export_flags(exporting)
    analysing = commands.add_parser("analyse", description=ANALYSE, help="count the votes")
    analysing.set_defaults(main=analyse)
    analysing.add_argument("key", metavar="page.key.json", help="what export wrote beside the page")
    analysing.add_argument("votes", nargs="+", metavar="VOTES.json", help="a file of each rater")
    analysing.add_argument(
        "--ties",
        choices=tuple(TIES),
        default="half",
        help="a tie is half a win, or dropped, or counts against or for the first (default: half)",
    )
    analysing.add_argument(
        "--max-failed-checks",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="raters who fail more are dropped (default: 0)",
    )
    analysing.add_argument("--results-path", metavar="OUT.json", help="write the report there")
    for each in (exporting, analysing):
        each.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


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
        "items (default: joint,base)",
    )
    parser.add_argument("--dest", required=True, metavar="page.html", help="the page to write")
    parser.add_argument(
        "--num-items",
        type=whole_number(EVERY),
        default=50,
        metavar="N",
        help="items on the page, checks among them (default: 50)",
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
    out, pairs = Path(arguments.dest), arguments.pair or [("joint", "base")]
    files = [named(text) for text in arguments.pools]
    prompts = read_prompts(files, arguments.quiet)
    check_pairs(pairs, prompts)
    comparisons = compose(prompts, pairs, arguments.num_items, arguments.seed)
    name, items = shown(comparisons, arguments.bold_words)
    options = ("num_items", "bold_words", "seed", "title")
    key = {
        "format_version": FORMAT_VERSION,
        "page": name,
        "pairs": [list(each) for each in pairs],
        "items": [asdict(each.item) for each in comparisons],
        "provenance": {
            "pools": [{"name": of, "sha256": sha256_of(path)} for of, path in files],
            "identical": identical(prompts, pairs),
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


def named(text: str) -> Tuple[str, Path]:
    """NAME=FILE -> (NAME, FILE); a file without a name has the name ""."""
    match = re.fullmatch(r"([\w-]+)=(.+)", text, re.DOTALL)
    if match is None or Path(text).exists():
        return "", Path(text)
    return match[1], Path(match[2])


def read_prompts(files: Sequence[Tuple[str, Path]], quiet: bool) -> List[Prompt]:
    """Those that stand under every name, with the texts of all."""
    groups: Dict[str, Dict[int, Prompt]] = {}
    for name, path in files:
        group = groups.setdefault(name, {})
        records = progress(lines(path), path.name, None, quiet)
        for number, record in enumerate(records, start=1):
            where = f"{path}: line {number}"
            prompt = prompt_of(record, f"{name}." if name else "", where)
            if prompt.number in group:
                raise UserError(f"{where}: prompt {prompt.number} for the second time")
            group[prompt.number] = prompt
    first, *others = groups.values()
    found = [first[i] for i in first if all(i in other for other in others)]
    if not found:
        raise UserError(f"{files[0][1]}: no prompts in it, or none that the others have")
    return [merged([prompt, *(other[prompt.number] for other in others)]) for prompt in found]


def prompt_of(record: Dict[str, Any], prefix: str, where: str) -> Prompt:
    try:
        number, context, real = record["id"], record["prompt"], record["real"]["text"]
        texts = {"joint": record["draws"][0]["text"], "base": record["base_text"]}
        if not all(isinstance(text, str) for text in (context, real, *texts.values())):
            raise TypeError("a text that is none")
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"{where}: not a prompt with its draws, base_text and what really follows, as "
            f"fairseq-generate --joint-results-path writes it: {error!r}"
        ) from None
    return Prompt(number, context, {**{prefix + k: v for k, v in texts.items()}, REAL: real})


def merged(prompts: Sequence[Prompt]) -> Prompt:
    """The same prompt, continued by several models."""
    first = prompts[0]
    for other in prompts[1:]:
        if (other.context, other.texts[REAL]) != (first.context, first.texts[REAL]):
            raise UserError(
                f"prompt {first.number} is another text under another name; generate with the same "
                "data, --window, --stride and --prefix-size"
            )
    return Prompt(
        first.number, first.context, {k: v for each in prompts for k, v in each.texts.items()}
    )


def check_pairs(pairs: Sequence[Pair], prompts: Sequence[Prompt]) -> None:
    systems = prompts[0].texts
    for names in pairs:
        for name in names:
            if name not in systems:
                raise UserError(f"--pair: '{name}' is none of {', '.join(systems)}")
    if len({frozenset(names) for names in pairs}) < len(pairs):
        raise UserError("--pair: the same pair twice")


def analyse(arguments: argparse.Namespace) -> None:
    key = read_key(Path(arguments.key))
    ballots = read_ballots([Path(path) for path in arguments.votes], key)
    found = report(key, ballots, arguments.ties, arguments.max_failed_checks)
    made_by = {
        "key": sha256_of(Path(arguments.key)),
        "votes": [sha256_of(Path(path)) for path in arguments.votes],
        "page": key.provenance,
        "versions": {"fairseq_ebm": __version__, "scipy": scipy.__version__},
    }
    found = {"page": key.page, **found, "provenance": made_by}
    if arguments.results_path:
        out = Path(arguments.results_path)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(found, out)
    if not arguments.quiet:
        print(table(found))


def table(found: Dict[str, Any]) -> str:
    heads = f"{'wins':>7}{'ties':>6}{'losses':>8}{'preferred':>11}{'95% interval':>18}{'p':>9}"
    out = [f"{'':<8}{heads}"]
    for row in found["preferences"]:
        out.append(f"{row['first']} over {row['second']}")
        for unit in ("votes", "items"):
            of = row[unit]
            counts = f"  {unit:<6}{of['wins']:>7,}{of['ties']:>6,}{of['losses']:>8,}"
            if of["preference"] is None:
                out.append(f"{counts}{'-':>11}{'-':>18}{'-':>9}")
                continue
            low, high = of["preference_ci95"]
            interval = f"{low:.1%} to {high:.1%}"
            out.append(f"{counts}{of['preference']:>11.2%}{interval:>18}{of['p_value']:>9.2g}")
    out.append(f"{found['raters_kept']} raters kept, {found['raters_dropped']} dropped")
    for rater in found["raters"]:
        if not rater["kept"]:
            failed = f"failed {rater['failed']} of {rater['checks']} attention checks"
            out.append(f"  {rater['rater']}: {failed if rater['checks'] else 'answered no check'}")
    return "\n".join(out)


def main() -> None:
    run(build_parser(), lambda arguments: arguments.main(arguments))


if __name__ == "__main__":
    main()
