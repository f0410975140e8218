"""Picture and table of a report of fairseq-ebm-discriminate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import BLUE, ORANGE, new_figure, save

METRICS = ("accuracy", "p_at_1", "auroc", "tpr_at_fpr_5", "tpr_at_fpr_1")
HEADS = ("accuracy", "P@1", "AUROC", "TPR at 5%", "TPR at 1%")
PICTURES = {
    "differences": "how much higher the energy of generated text is than that of the real text in "
    "its place"
}


def draw(report: Mapping[str, Any], out: Path) -> List[Path]:
    """Beside OUT.json: OUT.differences.svg, if an energy was judged on stores."""
    return [save(figure, out, name) for name, figure in pictures(report)]


def pictures(report: Mapping[str, Any]) -> Iterator[Tuple[str, Figure]]:
    """Energies, a panel for each store. P2 figure 3, which has them negative."""
    rows = [r for r in report["rows"] if r["scorer"] == "energy" and r.get("differences")]
    if rows:
        figure = new_figure(len(rows))
        for axes, row in zip(figure.subplots(len(rows), squeeze=False)[:, 0], rows):
            _differences(axes, row)
        yield "differences", figure


def _differences(axes: Axes, row: Mapping[str, Any]) -> None:
    """Those above 0, where the order is right, have a colour of their own; no bar crosses 0."""
    found = row["differences"]
    edges, counts = found["edges"], found["counts"]
    widths = [high - low for low, high in zip(edges, edges[1:])]
    colours = [BLUE if edge >= 0 else ORANGE for edge in edges[:-1]]
    heights = [count / width / sum(counts) for count, width in zip(counts, widths)]
    axes.bar(edges[:-1], heights, widths, align="edge", color=colours)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("energy of generated − energy of real text")
    axes.set_ylabel("density")
    name = Path(row["input"]).name.replace("$", r"\$")  # two would open and close a formula
    axes.set_title(f"{name}: {found['above_zero']:.1%} above 0", fontsize="medium")


def table(rows: Sequence[Dict[str, Any]]) -> str:
    lines = [f"{'':<16}" + "".join(f"{head:>11}" for head in HEADS)]
    before = None
    for line in rows:
        if line["input"] != before:
            before = line["input"]
            lines.append(f"{before}: {line['n_real']:,} real, {line['n_fake']:,} generated")
        cells = ("-" if line[name] is None else f"{line[name]:.1%}" for name in METRICS)
        lines.append(f"  {line['scorer']:<14}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(lines)
