"""Every kind of record, and the one function that makes tables and pictures of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import List, NamedTuple, Optional

from ..options import Record
from . import detection, generations, human_eval, perplexity, selection, weaknesses, work
from .figures import save
from .page import Item, Named, Paper, Picture, Section


class Kind(NamedTuple):
    """``title`` of its section in a report; None: it has none."""

    render: Callable[[Sequence[Named]], List[Item]]
    title: Optional[str] = None


def _each(items: Callable[[Named], Iterable[Item]], title: Optional[str] = None) -> Kind:
    """One record after the other."""
    return Kind(lambda records: [item for named in records for item in items(named)], title)


# In the order of a report.
KINDS: Mapping[str, Kind] = {
    "perplexity": Kind(perplexity.items, "Perplexity"),
    "next_token": _each(generations.next_token, "The next token"),
    "generations": _each(generations.items, "What the models write"),
    "detection": _each(detection.items, "Telling generated text from real"),
    "matrix": _each(detection.matrix, "How far detection generalises"),
    "weaknesses": _each(weaknesses.items, "What fools an energy"),
    "selection": _each(selection.chosen, "What was learnt from"),
    "selection_scores": _each(selection.scores, "What generic text is worth"),
    "selection_test": _each(selection.stability, "Whether selection can work"),
    "selection_filter": _each(selection.kept),
    "preferences": _each(human_eval.preferences, "What people prefer"),
    "qualification": _each(human_eval.ranking),
    "page": _each(human_eval.written),
    "prepared": _each(work.prepared),
    "negatives": _each(work.negatives),
    "shard": _each(work.shard),
    "report": _each(work.written),
    "run": _each(work.stages),
    "explored": _each(work.explored),
}


def items_of(record: Record) -> List[Item]:
    return KINDS[record["kind"]].render([Named("", record)])


def sections(records: Sequence[Named], paper: Paper) -> List[Section]:
    named = [each._replace(paper=paper.get(each.name, {})) for each in records]
    own = {name: [each for each in named if each.record["kind"] == name] for name in KINDS}
    return [
        Section(kind.title, kind.render(own[name]))
        for name, kind in KINDS.items()
        if kind.title and own[name]
    ]


def draw(record: Record, out: Path) -> List[Path]:
    """The record's pictures, beside it."""
    return [save(item, out) for item in items_of(record) if isinstance(item, Picture)]
