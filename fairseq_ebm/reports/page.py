"""What a report consists of, whether it becomes HTML or Markdown."""

from dataclasses import dataclass, field
from typing import List, Optional, Sequence, Tuple, Union

from matplotlib.figure import Figure

Interval = Optional[Sequence[float]]


@dataclass(frozen=True)
class Table:
    """``rows``: cells as text, the first of each a label."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """``alternative``: what it shows, for who cannot see it."""

    figure: Figure
    alternative: str


@dataclass(frozen=True)
class Sample:
    """A prompt and its continuations: who wrote it, what, and a remark."""

    prompt: str
    texts: Sequence[Tuple[str, str, str]]


Item = Union[str, Table, Picture, Sample]


@dataclass
class Section:
    title: str
    items: List[Item] = field(default_factory=list)


def number(value: Optional[float], digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def percent(value: Optional[float], digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def between(interval: Interval, digits: int = 2, scale: float = 1.0) -> str:
    """(1.2 to 1.4), or nothing"""
    if interval is None:
        return ""
    low, high = (f"{scale * value:,.{digits}f}" for value in interval)
    return f" ({low} to {high})"
