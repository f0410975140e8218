"""Pictures of a report of fairseq-ebm-analyse."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Iterator, List, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import BLUE, GREY, ORANGE, new_figure, save

KINDS = (("real", "real", GREY), ("base", "base LM", ORANGE), ("joint", "joint", BLUE))


def draw(report: Mapping[str, Any], out: Path) -> List[Path]:
    """Beside OUT.json: OUT.ngrams.svg and, if there are any, OUT.densities.svg."""
    return [save(figure, out, name) for name, figure in pictures(report)]


def pictures(report: Mapping[str, Any]) -> Iterator[Tuple[str, Figure]]:
    figure = new_figure()
    _ngrams(figure.add_subplot(), report)
    yield "ngrams", figure
    if report["densities"] is None:
        return
    figure = new_figure(2)
    above, below = figure.subplots(2, sharex=True)
    for axes, name, title in ((above, "base", "base LM"), (below, "joint", "joint model")):
        _density(axes, report["densities"][name], title)
    yield "densities", figure


def _ngrams(axes: Axes, report: Mapping[str, Any]) -> None:
    rows = report["unique_ngrams"]
    for i, (kind, label, colour) in enumerate(KINDS):
        at = [place + (i - 1) * 0.27 for place in range(len(rows))]
        bars = axes.bar(at, [100 * row[kind] for row in rows], 0.25, color=colour, label=label)
        axes.bar_label(bars, fmt="%.1f", fontsize="small", padding=2)
    axes.set_xticks(range(len(rows)), [f"{row['n']}-grams" for row in rows])
    axes.set_ylabel("distinct, % of all")
    axes.set_title(f"{report['num_prompts']:,} continuations of each kind", fontsize="medium")
    axes.margins(y=0.15)
    axes.figure.legend(loc="outside upper center", ncols=len(KINDS))


def _density(axes: Axes, values: Mapping[str, Any], title: str) -> None:
    for name, label, colour in (("real", "real text", GREY), ("samples", "own samples", BLUE)):
        axes.hist(values[name], bins=40, density=True, color=colour, alpha=0.55, label=label)
    axes.set_xlabel(f"log P of the {title}, nats")
    axes.set_ylabel("density")
    axes.set_title(f"{title}: means differ by {values['difference']:.2f}", fontsize="medium")
    axes.legend()
