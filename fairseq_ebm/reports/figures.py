"""How all pictures look and are written."""

import io
from pathlib import Path
from typing import Any, Dict

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .page import Picture

BLUE, NAVY, ORANGE, GREY = "#2f6fb0", "#16324f", "#c8501e", "#8a8f98"
# Text as text; the same bytes.
STYLE: Dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fairseq_ebm",
    "axes.titlesize": "medium",
}


def drawn(picture: Picture) -> Figure:
    """Panels are below each other, so that a picture can be read on a phone."""
    figure = Figure(figsize=(5.2, 0.4 + 3.0 * picture.panels), layout="constrained")
    with rc_context(STYLE):
        picture.draw(figure)
    return figure


def describe(axes: Axes, percent: bool = False, **labels: Any) -> None:
    """A grid; ``labels`` and limits, as ``Axes.set`` takes them; ``percent``: y is a share."""
    axes.set(**labels)
    axes.grid(alpha=0.3)
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1))


def save(picture: Picture, out: Path) -> Path:
    """OUT.json -> OUT.name.svg"""
    path = out.with_name(f"{out.stem}.{picture.name}.svg")
    with rc_context(STYLE):
        drawn(picture).savefig(path, metadata={"Date": None})
    return path


def inline(picture: Picture) -> str:
    """An <svg> for a page of either colour scheme: no background, and what was black or nearly so
    has the colour of the text around it."""
    figure, out = drawn(picture), io.StringIO()
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    for legend in filter(None, [*figure.legends, *(axes.get_legend() for axes in figure.axes)]):
        legend.get_frame().set_alpha(0)
    with rc_context(STYLE):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    _, tag, rest = out.getvalue().partition("<svg")
    return f"{tag}{rest}".replace("#000000", "currentColor").replace(NAVY, "currentColor")
