"""A report as Markdown: its words and tables."""

from collections.abc import Sequence

from tabulate import tabulate

from .page import Item, Picture, SampleTexts, Section, Table


def page(title: str, sections: Sequence[Section]) -> str:
    parts = [f"# {title}"]
    for section in sections:
        parts += [f"## {section.title}", *(_item(item) for item in section.items)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _item(item: Item) -> str:
    if isinstance(item, Table):
        heads, *rows = [[cell.replace("|", r"\|") for cell in r] for r in (item.heads, *item.rows)]
        align = ["left", *["right"] * (len(heads) - 1)]
        text = tabulate(rows, heads, "pipe", disable_numparse=True, colalign=align)
        return f"{text}\n\n{item.note}" if item.note else text
    if isinstance(item, Picture):
        return ""  # in the page of HTML
    if isinstance(item, SampleTexts):
        return "\n\n".join(_text(*each) for each in (("prompt", item.prompt, ""), *item.texts))
    return item


def _text(who: str, text: str, remark: str) -> str:
    lines = [f"    {line}" for line in text.splitlines()]
    return "\n".join([f"*{who}*" + f", {remark}" * bool(remark), "", *lines])
