"""fairseq-ebm-report: what the other programs found, on one page."""

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Dict, List

from ..errors import UserError
from ..records import read_json
from ..reports import html, markdown
from ..reports.sections import KINDS, Named, samples, sections
from .program import ArgumentParser, run, whole_number

DESCRIPTION = """\
Writes RUN/report.html, one page that needs nothing else, and RUN/report.md, of all
reports in RUN that the other programs have written as JSON.

  fairseq-ebm-report RUN
  fairseq-ebm-report causal.json analysis.json pools.jsonl --dest report.html
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-report", description=DESCRIPTION)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders, or files in them")
    parser.add_argument(
        "--dest", metavar="OUT.html", help="(default: report.html in the first folder)"
    )
    parser.add_argument("--title", default="Residual energy-based models of text")
    parser.add_argument(
        "--samples", type=whole_number(0), default=6, help="prompts to show (default: 6)"
    )
    parser.add_argument(
        "--paper",
        metavar="PAPER.json",
        help='what the papers found where the setting is theirs: {"record": {"entry": "text"}}',
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def report(arguments: argparse.Namespace) -> None:
    paths = [path for run_ in arguments.runs for path in files_of(Path(run_))]
    records = [Named(path.stem, content) for path in paths for content in known(path)]
    generated = [path for path in paths if path.suffix == ".jsonl" and is_pools(path)]
    if not records and not generated:
        raise UserError(f"{arguments.runs[0]}: no report of our programs in it")
    found = sections(records, read_json(arguments.paper) if arguments.paper else {})
    for path in generated:
        if arguments.samples:
            found.append(samples(path.stem, prompts(path, arguments.samples)))
    first = Path(arguments.runs[0])
    out = Path(arguments.dest or (first if first.is_dir() else first.parent) / "report.html")
    if out.suffix == ".md":
        raise UserError(f"--dest: {out}: the page of HTML; the Markdown is written beside it")
    out.parent.mkdir(parents=True, exist_ok=True)
    made = [(n, json.dumps(r["provenance"], indent=2)) for n, r in records if "provenance" in r]
    out.write_text(html.page(arguments.title, found, made), encoding="utf-8")
    beside = out.with_suffix(".md")
    beside.write_text(markdown.page(arguments.title, found), encoding="utf-8")
    if not arguments.quiet:
        print(f"written: {out}, {beside}")


def files_of(run_: Path) -> List[Path]:
    if not run_.exists():
        raise UserError(f"{run_}: no such file or folder")
    if run_.is_dir():
        return sorted(p for p in run_.iterdir() if p.suffix in (".json", ".jsonl"))
    return [run_]


def known(path: Path) -> Iterator[Dict[str, Any]]:
    """What is in a file, if it is a report that has a section."""
    if path.suffix == ".json":
        content = read_json(path)
        if any(key in content for key in KINDS) and is_ours(content):
            yield content


def is_ours(content: Dict[str, Any]) -> bool:
    """Others have rows too."""
    return all("scorer" in row for row in content.get("rows", []))


def lines(path: Path) -> Iterator[Dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                content = json.loads(line)
            except ValueError:
                raise UserError(f"{path}: line {number} is not JSON") from None
            yield content if isinstance(content, dict) else {}


def is_pools(path: Path) -> bool:
    return any("pools" in record and "base_text" in record for record in islice(lines(path), 1))


def prompts(path: Path, count: int) -> Sequence[Dict[str, Any]]:
    return list(islice(lines(path), count))


def main() -> None:
    run(build_parser(), report)


if __name__ == "__main__":
    main()
