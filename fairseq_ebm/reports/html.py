"""A report as one page of HTML that needs nothing else: pictures inside, no script, no network."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from .figures import inline
from .page import Picture, Section

HERE = Path(__file__).parent
STYLE = Markup((HERE / "style.css").read_text(encoding="utf-8"))


def page(title: str, sections: Sequence[Section], provenance: Sequence["tuple[str, str]"]) -> str:
    """``provenance``: names of records and what made them."""
    return render(HERE / "page.html", title=title, sections=sections, provenance=provenance)


def render(template: Path, **values: Any) -> str:
    """What is not ``Markup`` is escaped."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(svg=_svg, unbroken=_unbroken)
    return environment.get_template(template.name).render(style=STYLE, **values)


def _svg(picture: Picture) -> Markup:
    label = f'<svg role="img" aria-label="{escape(picture.alternative)}"'
    return Markup(inline(picture).replace("<svg", label, 1))


def _unbroken(text: str) -> Markup:
    """A line ends before an interval, where there is no room, but not within one."""
    return Markup(re.sub(r"\S+ to \S+", r"<span>\g<0></span>", str(escape(text))))
