"""How all pictures look and are written."""

import io
import logging
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from .page import Picture

logging.getLogger("matplotlib").setLevel(logging.WARNING)  # fairseq lets all of it through

BLUE, NAVY, ORANGE, GREY = "#2f6fb0", "#16324f", "#c8501e", "#8a8f98"
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "fairseq_ebm"}  # text as text; the same bytes


def drawn(picture: Picture) -> Figure:
    """Panels are below each other, so that a picture can be read on a phone."""
    figure = Figure(figsize=(5.2, 0.4 + 3.0 * picture.panels), layout="constrained")
    picture.draw(figure)
    return figure


def save(picture: Picture, out: Path) -> Path:
    """OUT.json -> OUT.name.svg"""
    path = out.with_name(f"{out.stem}.{picture.name}.svg")
    with rc_context(STYLE):
        drawn(picture).savefig(path, metadata={"Date": None})
    return path


def inline(picture: Picture) -> str:
    """An <svg> for a page of either colour scheme: no background, and what was black or nearly so
    has the colour of the text around it."""
    figure = drawn(picture)
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
