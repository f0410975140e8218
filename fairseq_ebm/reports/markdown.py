"""A report as Markdown: its words and tables."""

from collections.abc import Sequence
from typing import List

from .page import Item, Picture, Sample, Section, Table


def page(title: str, sections: Sequence[Section]) -> str:
    parts = [f"# {title}"]
    for section in sections:
        parts += [f"## {section.title}", *(_item(item) for item in section.items)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _item(item: Item) -> str:
    if isinstance(item, Table):
        lines = [_row(item.heads), "|" + " --- |" * len(item.heads), *map(_row, item.rows)]
        return "\n".join(lines) + (f"\n\n{item.note}" if item.note else "")
    if isinstance(item, Picture):
        return ""  # in the page of HTML
    if isinstance(item, Sample):
        return "\n\n".join(_text(*each) for each in (("prompt", item.prompt, ""), *item.texts))
    return item


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _text(who: str, text: str, remark: str) -> str:
    lines: List[str] = [f"    {line}" for line in text.splitlines()]
    return "\n".join([f"*{who}*{', ' if remark else ''}{remark}", "", *lines])
