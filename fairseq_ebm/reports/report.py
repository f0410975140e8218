"""The records of other verbs, on one page."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import List, Tuple

from ..errors import UserError
from ..files import visible_in
from ..joint.pools import is_pools, read_pools
from ..options import Record
from ..records import read_json
from . import html, markdown
from .kinds import KINDS, sections
from .options import Report
from .page import Item, Named, SampleTexts, Section, number


def report(options: Report) -> Record:
    first = options.runs[0]
    made, origins = parts(options)
    out = options.dest or (first if first.is_dir() else first.parent) / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(html.page(options.title, made, origins), encoding="utf-8")
    beside = out.with_suffix(".md")
    beside.write_text(markdown.page(options.title, made), encoding="utf-8")
    return {"kind": "report", "files": [str(out), str(beside)]}


def parts(options: Report) -> Tuple[List[Section], List[Tuple[str, str]]]:
    """Sections, and of each record its name and what made it."""
    paths = [path for run in options.runs for path in _files_of(run)]
    records = [Named(path.stem, record) for path in paths for record in _known(path, options)]
    generated = [path for path in paths if path.suffix == ".jsonl" and is_pools(path)]
    if not records and not generated:
        raise UserError(f"{options.runs[0]}: no report of our programs in it")
    made = sections(records, read_json(options.paper) if options.paper else {})
    for path in generated if options.samples else ():
        made.append(samples(path.stem, list(islice(read_pools(path), options.samples))))
    known = [each for each in records if "provenance" in each.record]
    origins = [(each.name, json.dumps(each.record["provenance"], indent=2)) for each in known]
    return made, origins


def _files_of(run: Path) -> List[Path]:
    if not run.exists():
        raise UserError(f"{run}: no such file or folder")
    if not run.is_dir():
        return [run]
    return [path for path in visible_in(run) if path.suffix in (".json", ".jsonl")]


def _known(path: Path, options: Report) -> Iterator[Record]:
    """What is in a file, if it is a record that has a section."""
    if path.suffix == ".json":
        try:
            record = read_json(path)
        except UserError:
            if path in options.runs:
                raise
            return  # a folder may hold anything
        kind = KINDS.get(str(record.get("kind")))
        if kind is not None and kind.title:
            yield record


def samples(name: str, prompts: Sequence[Record]) -> Section:
    """Text side by side, with energies."""
    items: List[Item] = []
    for record in prompts:
        text, pool = record["base_text"], record["pools"][0]
        base = {"text": text, "energy": pool["energies"][0], "log_p": pool["log_p"][0]}
        texts = {"base LM": base, "joint model": record["draws"][0]}
        if "real" in record:
            texts["real"] = record["real"]
        shown = [(who, text["text"], _judged(text)) for who, text in texts.items()]
        items.append(SampleTexts(record["prompt"], shown))
    return Section(f"Samples side by side ({name})", items)


def _judged(text: Record) -> str:
    return f"energy {number(text['energy'])}, log P of the base LM {text['log_p']:.1f}"
