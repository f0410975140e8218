"""How well generated text is told from real. P2 tables 2 to 5 and 7, figure 3."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import List

from matplotlib.figure import Figure

from ..errors import UserError
from ..options import Record
from .figures import BLUE, ORANGE
from .page import Item, Named, Table, number, one_line, percent, plain, share_of

KEYS = {
    "accuracy": "accuracy",
    "accuracy_natural": "at energy 0",
    "p_at_1": "P@1",
    "auroc": "AUROC",
    "tpr_at_fpr_5": "found at 5% false alarms",
}
HIGHER = "how much higher the energy of generated text is than that of the real text in its place"
COUNTS = {
    "empty": "empty", "bad_lines": "bad lines", "short": "short",
    "too_short": "passed over, too short",
}  # fmt: skip


def items(named: Named) -> Iterator[Item]:
    scored: List[Record] = named.record["rows"]
    several = len({row["input"] for row in scored}) > 1
    rows = [
        [row["scorer"] + f", {row['input']}" * several, *(share_of(row, key) for key in KEYS)]
        for row in scored
    ]
    heads = ["score", *KEYS.values()]
    counts = sorted({(row["n_real"], row["n_fake"]) for row in scored})
    texts = " or ".join(f"{real:,} real and {fake:,} generated" for real, fake in counts)
    if named.paper:
        there = dict.fromkeys(row["scorer"] for row in scored)
        lost = [scorer for scorer in named.paper if scorer not in there]  # it would be so unseen
        if lost:
            has = ", ".join(there)
            raise UserError(f"--paper: {named.name}: no row {lost[0]} in that record; it has {has}")
        heads.append("paper, accuracy")
        rows = [[*cells, named.paper.get(row["scorer"], "")] for cells, row in zip(rows, scored)]
    note = f"{texts} texts; thresholds are set on others; 95% intervals."
    yield Table(heads, rows, named.says(note))
    for path, text in named.record.get("texts", {}).items():
        also = ", ".join(f"{text[key]:,} {words}" for key, words in COUNTS.items() if text[key])
        words = f"{path}: {text['texts']:,} texts, {text['blocks']:,} blocks"
        yield words + f" ({also})" * bool(also)
    for window in named.record.get("shown", ()):
        yield _shown(window)
    drawn = [row for row in scored if row["scorer"] == "energy" and row.get("differences")]
    yield from (_apart(named, row, several) for row in drawn)
    if drawn:
        yield named.picture("differences", HIGHER, _draw, drawn, panels=len(drawn))


def _apart(named: Named, row: Record, several: bool) -> str:
    found = row["differences"]
    words = (
        f"{HIGHER}: {number(found['mean'])} on average, above 0 in {percent(found['above_zero'])}"
    )
    if found.get("margin"):
        beyond = f"above the margin of {found['margin']:g} in {percent(found['above_margin'])}"
        words += f", {beyond}, where the ranking loss is 0"
    return named.says(f"{row['input']}: " * several + f"{words}.")


def _shown(window: Record) -> Table:
    rows = [
        [number(text["energy"]), text["by"], one_line(text["text"])] for text in window["texts"]
    ]
    return Table(["energy", "by", "text"], rows, f"after: {one_line(window['context'])}")


def _draw(rows: Sequence[Record], figure: Figure) -> None:
    """Energies, a panel for each store. P2 figure 3, which has them negative. Those above 0, where
    the order is right, have a colour of their own; no bar crosses 0."""
    for axes, row in zip(figure.subplots(len(rows), squeeze=False)[:, 0], rows):
        edges, counts = row["differences"]["edges"], row["differences"]["counts"]
        widths = [high - low for low, high in zip(edges, edges[1:])]
        colours = [BLUE if edge >= 0 else ORANGE for edge in edges[:-1]]
        heights = [count / width / sum(counts) for count, width in zip(counts, widths)]
        axes.bar(edges[:-1], heights, widths, align="edge", color=colours)
        axes.axvline(0, color="black", linewidth=0.8)
        above = f"{row['differences']['above_zero']:.1%} above 0"
        margin = row["differences"].get("margin")
        if margin:
            axes.axvline(margin, color="red", linewidth=0.8)
            above += f", {row['differences']['above_margin']:.1%} above the margin of {margin:g}"
        axes.set_title(f"{plain(Path(row['input']).name)}: {above}")
        axes.set(xlabel="energy of generated − energy of real text", ylabel="density")


def matrix(named: Named) -> Iterator[Item]:
    """Accuracies across generators and corpora."""
    for title, rows in named.record["tables"].items():
        heads = list(next(iter(rows.values())))
        cells = [[label, *(share_of(row[head], "accuracy") for head in heads)]
                 for label, row in rows.items()]  # fmt: skip
        counts = {cell["n_real"] for row in rows.values() for cell in row.values()}
        windows = " to ".join(f"{count:,}" for count in sorted({min(counts), max(counts)}))
        note = f"{title}. Accuracy, {windows} real windows; 95% intervals."
        yield Table(["", *heads], cells, named.says(note))
    claims = [
        [f["claim"], f["verdict"], "; ".join(f"{a:.1%} > {b:.1%}" for a, b in f["pairs"])]
        for f in named.record["findings"]
    ]
    if claims:
        yield Table(["claim of the paper", "here", "higher > lower"], claims)
