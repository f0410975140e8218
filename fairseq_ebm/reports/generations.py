"""What the models write: distinct n-grams and densities. P1 figures 2 right and 3."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, List, Optional

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import BLUE, GREY, ORANGE
from .page import Item, Named, Paper, Picture, Table, number, percent

KINDS = (("real", "real", GREY), ("base", "base LM", ORANGE), ("joint", "joint", BLUE))
MODELS = (("base", "base LM"), ("joint", "joint model"))


def items(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [item for each in records for item in _items(each)]


def _items(named: Named) -> Iterator[Item]:
    record, densities = named.record, named.record["densities"]
    rows = [
        [f"{row['n']}-grams", *(percent(row[kind], 2) for kind, _, _ in KINDS)]
        for row in record["unique_ngrams"]
    ]
    count = f"{record['num_prompts']:,} continuations each"
    note = named.says(f"distinct n-grams, of all, in {count}.")
    yield Table(["", *(label for _, label, _ in KINDS)], rows, note)
    if densities is None:
        yield named.says("no densities: proposals were truncated, and Z is not known.")
    else:
        yield _densities(named, densities)
    words = "distinct n-grams of real text, of the base model's and of the joint model's"
    yield Picture("ngrams", named.says(words), partial(_draw_ngrams, record))
    if densities is not None:
        words = "log-probability of each model's own text and of real text"
        yield Picture("densities", named.says(words), partial(_draw_densities, densities), 2)


def _densities(named: Named, densities: Mapping[str, Any]) -> Table:
    rows = [
        [words, number(d["difference"]) + _spread(d["standard_error"])]
        for words, d in ((words, densities[name]) for name, words in MODELS)
    ]
    note = "mean log-probability of a model's own text above that of real text, nats; standard "
    note += "error in brackets. The papers found 21.64 and 6.20 in their setting."
    return Table(["", "own text − real text"], rows, named.says(note))


def _spread(error: Optional[float]) -> str:
    return "" if error is None else f" ({error:.2f})"


def _draw_ngrams(record: Mapping[str, Any], figure: Figure) -> None:
    axes, rows = figure.add_subplot(), record["unique_ngrams"]
    for i, (kind, label, colour) in enumerate(KINDS):
        at = [place + (i - 1) * 0.27 for place in range(len(rows))]
        bars = axes.bar(at, [100 * row[kind] for row in rows], 0.25, color=colour, label=label)
        axes.bar_label(bars, fmt="%.1f", fontsize="small", padding=2)
    axes.set_xticks(range(len(rows)), [f"{row['n']}-grams" for row in rows])
    axes.set_ylabel("distinct, % of all")
    axes.set_title(f"{record['num_prompts']:,} continuations of each kind", fontsize="medium")
    axes.margins(y=0.15)
    figure.legend(loc="outside upper center", ncols=len(KINDS))


def _draw_densities(densities: Mapping[str, Any], figure: Figure) -> None:
    for axes, (name, title) in zip(figure.subplots(2, sharex=True), MODELS):
        _density(axes, densities[name], title)


def _density(axes: Axes, values: Mapping[str, Any], title: str) -> None:
    for name, label, colour in (("real", "real text", GREY), ("samples", "own samples", BLUE)):
        axes.hist(values[name], bins=40, density=True, color=colour, alpha=0.55, label=label)
    axes.set_xlabel(f"log P of the {title}, nats")
    axes.set_ylabel("density")
    axes.set_title(f"{title}: means differ by {values['difference']:.2f}", fontsize="medium")
    axes.legend()
