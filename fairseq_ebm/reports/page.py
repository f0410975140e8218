"""What a report consists of, whether a terminal shows it, Markdown or HTML."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from ..options import Record

Interval = Optional[Sequence[Optional[float]]]
Draw = Callable[..., None]
Paper = Dict[str, Dict[str, str]]  # what the papers found in the same setting, by record and entry


class Named(NamedTuple):
    """A record, what it is called beside others (on its own it needs no name), and its part of
    the paper."""

    name: str
    record: Record
    paper: Mapping[str, str] = {}

    def says(self, words: str) -> str:
        return f"{self.name}: {words}" if self.name else words

    def picture(self, name: str, words: str, draw: Draw, *what: Any, panels: int = 1) -> "Picture":
        """``draw(*what, figure)`` draws it."""
        return Picture(name, self.says(words), partial(draw, *what), panels)


class Table(NamedTuple):
    """``rows``: cells as text, the first of each a label."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Picture(NamedTuple):
    """``draw`` fills a figure of some ``panels``, one below the other; ``alternative``: what it
    shows, for whoever cannot see it. Drawn alone, it is OUT.NAME.svg."""

    name: str
    alternative: str
    draw: Callable[[Any], None]
    panels: int = 1


class SampleTexts(NamedTuple):
    """A prompt and its continuations: who wrote it, what, and a remark."""

    prompt: str
    texts: Sequence[Tuple[str, str, str]]


Item = Union[str, Table, Picture, SampleTexts]


class Section(NamedTuple):
    title: str
    items: List[Item]


def number(value: Optional[float], digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def percent(value: Optional[float], digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def between(interval: Interval, digits: int = 2, scale: float = 1.0) -> str:
    """(1.2 to 1.4), or nothing"""
    if interval is None:
        return ""
    low, high = (number(None if end is None else scale * end, digits) for end in interval)
    return f" ({low} to {high})"


def measured(record: Record, name: str, digits: int = 2) -> str:
    """A figure with its 95% interval."""
    return number(record.get(name), digits) + between(record.get(f"{name}_ci95"), digits)


def share_of(record: Record, name: str, digits: int = 1) -> str:
    """The same, in percent."""
    return percent(record.get(name), digits) + between(record.get(f"{name}_ci95"), digits, 100)


def one_line(text: str) -> str:
    return text.replace("\n", " ⏎ ")


def plain(text: str) -> str:
    """For a picture: two dollars would open and close a formula."""
    return text.replace("$", r"\$")
