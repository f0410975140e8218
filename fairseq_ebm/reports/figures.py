"""How all pictures look and are written."""

import io
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

BLUE, NAVY, ORANGE, GREY = "#2f6fb0", "#16324f", "#c8501e", "#8a8f98"
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "fairseq_ebm"}  # text as text; the same bytes


def new_figure(panels: int = 1) -> Figure:
    """Panels stand below each other, so that a picture can be read on a phone."""
    return Figure(figsize=(5.2, 0.4 + 3.0 * panels), layout="constrained")


def save(figure: Figure, out: Path, name: str) -> Path:
    """OUT.json -> OUT.name.svg"""
    path = out.with_name(f"{out.stem}.{name}.svg")
    with rc_context(STYLE):
        figure.savefig(path, metadata={"Date": None})
    return path


def inline(figure: Figure) -> str:
    """An <svg> for a page of either colour scheme: no background, and what was black or nearly so
    has the colour of the text around it."""
    for axes in figure.axes:
        axes.patch.set_alpha(0)
        if axes.get_legend() is not None:
            axes.get_legend().get_frame().set_alpha(0)
    for legend in figure.legends:
        legend.get_frame().set_alpha(0)
    out = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    return (
        text[text.index("<svg") :].replace("#000000", "currentColor").replace(NAVY, "currentColor")
    )
