"""A report as one page of HTML that needs nothing else: pictures inside, no script, no network."""

import re
from collections.abc import Sequence
from html import escape

from .figures import inline
from .page import Item, Picture, Sample, Section, Table

STYLE = """
:root { color-scheme: light dark; --line: #d0d4da; --soft: #f3f5f8; --text: #1b1f24; --page: #fff;
  --quiet: #5a626d; --accent: #2f6fb0; }
@media (prefers-color-scheme: dark) { :root { --line: #3a414b; --soft: #1d2228; --text: #e4e8ed;
  --page: #12161b; --quiet: #a3acb8; --accent: #74aee8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
nav ul { padding-left: 1.2rem; } a { color: var(--accent); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; }
th:first-child, td:first-child { text-align: left; min-width: 6rem; }
thead th { color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 400; } td span { white-space: nowrap; }
p.note, figcaption { color: var(--quiet); font-size: .9rem; }
figure { margin: 1.2rem 0; } figure svg { width: 100%; height: auto; max-width: 38rem; }
figure svg text { fill: currentColor; }
.sample { border: 1px solid var(--line); border-radius: .4rem; margin: 1rem 0;
  padding: .6rem .9rem; }
.sample dt { color: var(--quiet); font-size: .85rem; margin-top: .5rem; } .sample dd { margin: 0; }
.sample pre, pre { white-space: pre-wrap; margin: 0; font: .85rem/1.4 ui-monospace, monospace; }
details { margin: .5rem 0; } details pre { background: var(--soft); padding: .6rem; }
"""


def page(title: str, sections: Sequence[Section], provenance: Sequence["tuple[str, str]"]) -> str:
    """``provenance``: names of records and what made them."""
    names = [f"s{i}" for i in range(len(sections))]
    links = "".join(
        f'<li><a href="#{name}">{escape(section.title)}</a></li>'
        for name, section in zip(names, sections)
    )
    body = "".join(
        f'<section id="{name}"><h2>{escape(section.title)}</h2>'
        + "".join(_item(item) for item in section.items)
        + "</section>"
        for name, section in zip(names, sections)
    )
    records = "".join(
        f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
        for name, text in provenance
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1><nav><ul>{links}</ul></nav>\n{body}\n"
        f"<section><h2>What made these figures</h2>{records}</section></body></html>\n"
    )


def _item(item: Item) -> str:
    if isinstance(item, Table):
        return _table(item)
    if isinstance(item, Picture):
        words = escape(item.alternative)
        svg = inline(item.figure).replace("<svg", f'<svg role="img" aria-label="{words}"', 1)
        return f"<figure>{svg}<figcaption>{words}</figcaption></figure>\n"
    if isinstance(item, Sample):
        return _sample(item)
    return f"<p>{escape(item)}</p>\n"


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    rows = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{_cell(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    table_ = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="wide" tabindex="0">{table_}</div>{note}\n'


def _cell(text: str) -> str:
    """A line ends before an interval, where there is no room, but not within one."""
    return re.sub(r"\S+ to \S+", r"<span>\g<0></span>", escape(text))


def _sample(sample: Sample) -> str:
    texts = "".join(
        f"<dt>{escape(who)}{' · ' if remark else ''}{escape(remark)}</dt>"
        f"<dd><pre>{escape(text)}</pre></dd>"
        for who, text, remark in sample.texts
    )
    prompt = f"<dt>prompt</dt><dd><pre>{escape(sample.prompt)}</pre></dd>"
    return f'<dl class="sample">{prompt}{texts}</dl>\n'
