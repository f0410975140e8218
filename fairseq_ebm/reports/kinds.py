"""Every kind of record, and the one function that makes tables and pictures of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import List, NamedTuple, Optional

from . import (
    detection,
    generations,
    human_eval,
    matrix,
    next_token,
    perplexity,
    weaknesses,
    work,
)
from .figures import save
from .page import Item, Named, Paper, Picture, Record, Section

Render = Callable[[Sequence[Named], Paper], List[Item]]


class Kind(NamedTuple):
    """``title`` of its section in a report; None: it has none."""

    render: Render
    title: Optional[str] = None


# In the order of a report.
KINDS: Mapping[str, Kind] = {
    "perplexity": Kind(perplexity.items, "Perplexity"),
    "next_token": Kind(next_token.items, "The next token"),
    "generations": Kind(generations.items, "What the models write"),
    "detection": Kind(detection.items, "Telling generated text from real"),
    "matrix": Kind(matrix.items, "How far detection generalises"),
    "weaknesses": Kind(weaknesses.items, "What fools an energy"),
    "preferences": Kind(human_eval.preferences, "What people prefer"),
    "qualification": Kind(human_eval.ranking),
    "page": Kind(human_eval.written),
    "prepared": Kind(work.prepared),
    "negatives": Kind(work.negatives),
    "shard": Kind(work.shard),
    "report": Kind(work.written),
    "run": Kind(work.stages),
}


def items_of(record: Record) -> List[Item]:
    return KINDS[record["kind"]].render([Named("", record)], {})


def sections(records: Sequence[Named], paper: Paper) -> List[Section]:
    """``paper``: what the papers found in the same setting, by record and entry."""
    made = []
    for name, kind in KINDS.items():
        own = [each for each in records if each.record["kind"] == name]
        if own and kind.title:
            made.append(Section(kind.title, kind.render(own, paper)))
    return made


def draw(record: Record, out: Path) -> List[Path]:
    """The record's pictures, beside it."""
    return [save(item, out) for item in items_of(record) if isinstance(item, Picture)]
