"""How well generated text is told from real. P2 tables 2 and 5, figure 3."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, List

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import UserError
from .figures import BLUE, ORANGE
from .page import Item, Named, Paper, Picture, Table, plain, share_of

KEYS = {
    "accuracy": "accuracy",
    "accuracy_natural": "at energy 0",
    "p_at_1": "P@1",
    "auroc": "AUROC",
    "tpr_at_fpr_5": "found at 5% false alarms",
}
DIFFERENCES = "how much higher the energy of generated text is than that of the real text in its"
COUNTS = {
    "empty": "empty",
    "bad_lines": "bad lines",
    "short": "short",
    "too_short": "passed over, too short",
}


def items(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [item for each in records for item in _items(each, paper.get(each.name, {}))]


def _items(named: Named, theirs: Mapping[str, str]) -> Iterator[Item]:
    scored: List[Mapping[str, Any]] = named.record["rows"]
    inputs = list(dict.fromkeys(row["input"] for row in scored))
    rows = [
        [
            row["scorer"] if len(inputs) == 1 else f"{row['scorer']}, {row['input']}",
            *(share_of(dict(row), key) for key in KEYS),
        ]
        for row in scored
    ]
    heads = ["score", *KEYS.values()]
    counts = sorted({(row["n_real"], row["n_fake"]) for row in scored})
    texts = " or ".join(f"{real:,} real and {fake:,} generated" for real, fake in counts)
    if theirs:
        _require_rows(named.name, theirs, [row["scorer"] for row in scored])
        heads.append("paper, accuracy")
        rows = [[*cells, theirs.get(row["scorer"], "")] for cells, row in zip(rows, scored)]
    note = f"{texts} texts; thresholds from others; 95% intervals."
    yield Table(heads, rows, named.says(note))
    for path, text in named.record.get("texts", {}).items():
        also = ", ".join(f"{text[key]:,} {words}" for key, words in COUNTS.items() if text[key])
        words = f"{path}: {text['texts']:,} texts, {text['blocks']:,} blocks"
        yield words + f" ({also})" * bool(also)
    drawn = [row for row in scored if row["scorer"] == "energy" and row.get("differences")]
    if drawn:
        words = named.says(f"{DIFFERENCES} place")
        yield Picture("differences", words, partial(_draw_differences, drawn), len(drawn))


def _require_rows(name: str, theirs: Mapping[str, str], scorers: Sequence[str]) -> None:
    """A published figure is in the row of its own scorer, or it would be lost unseen."""
    for scorer in theirs:
        if scorer not in scorers:
            there = ", ".join(dict.fromkeys(scorers))
            raise UserError(f"--paper: {name}: no row {scorer} in that record; it has {there}")


def _draw_differences(rows: Sequence[Mapping[str, Any]], figure: Figure) -> None:
    """Energies, a panel for each store. P2 figure 3, which has them negative."""
    for axes, row in zip(figure.subplots(len(rows), squeeze=False)[:, 0], rows):
        _differences(axes, row)


def _differences(axes: Axes, row: Mapping[str, Any]) -> None:
    """Those above 0, where the order is right, have a colour of their own; no bar crosses 0."""
    histogram = row["differences"]
    edges, counts = histogram["edges"], histogram["counts"]
    widths = [high - low for low, high in zip(edges, edges[1:])]
    colours = [BLUE if edge >= 0 else ORANGE for edge in edges[:-1]]
    heights = [count / width / sum(counts) for count, width in zip(counts, widths)]
    axes.bar(edges[:-1], heights, widths, align="edge", color=colours)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("energy of generated − energy of real text")
    axes.set_ylabel("density")
    name = plain(Path(row["input"]).name)
    axes.set_title(f"{name}: {histogram['above_zero']:.1%} above 0", fontsize="medium")
