"""How all pictures look and are written."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

BLUE, NAVY, ORANGE, GREY = "#2f6fb0", "#16324f", "#c8501e", "#8a8f98"
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "fairseq_ebm"}  # text as text; the same bytes


def new_figure(width: float = 6.4, height: float = 4.0) -> Figure:
    """Inches."""
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, out: Path, name: str) -> Path:
    """OUT.json -> OUT.name.svg"""
    path = out.with_name(f"{out.stem}.{name}.svg")
    with rc_context(STYLE):
        figure.savefig(path, metadata={"Date": None})
    return path
