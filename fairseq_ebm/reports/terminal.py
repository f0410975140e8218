"""A record for a terminal."""

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, Optional

from tabulate import tabulate

from ..options import Record
from .kinds import items_of
from .page import Item, Picture, SampleTexts, Table

LOG = 140  # characters of a line, where no terminal says how many
HEAD = 14  # characters of a line of a head, where columns must be narrow
INTERVAL = re.compile(r" (\([^()]+ to [^()]+\))$")
AS_IT_IS = {"disable_numparse": True, "preserve_whitespace": True}


def shown(record: Record, options: Any = None, width: Optional[int] = None) -> str:
    """``options``: which say where the record was written; ``width``: that of the terminal, or of
    a log."""
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else LOG
    items = [item for item in items_of(record) if not isinstance(item, SampleTexts)]
    lines = [_item(item, width) for item in items if not isinstance(item, Picture)]
    out = getattr(options, "out", None)
    if out is not None:
        drawn = [i for i in items if isinstance(i, Picture) and getattr(options, "draw", False)]
        files = [out, *(out.with_name(f"{out.stem}.{item.name}.svg") for item in drawn)]
        lines.append(f"written: {', '.join(map(str, files))}")
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _item(item: Item, width: int) -> str:
    if isinstance(item, Table):  # a line is empty on both sides
        return "\n".join(["", _table(item, width), *([item.note] if item.note else []), ""])
    return str(item)


def _table(table: Table, width: int) -> str:
    """A single row as a list of its cells; of several rows one line each, if there is room; else
    intervals below their figures, or none at all; else each row as a list."""
    heads, rows = table.heads, table.rows
    if len(rows) != 1:
        align = ["left", *["right"] * (len(heads) - 1)]
        narrow = [[INTERVAL.sub(r"\n\1", cell) for cell in row] for row in rows]
        short = ["\n".join(textwrap.wrap(head, HEAD)) for head in heads]
        bare = [[INTERVAL.sub("", cell) for cell in row] for row in rows]
        for some_heads, some_rows in ((heads, rows), (short, narrow), (short, bare)):
            text = tabulate(some_rows, some_heads, "simple", colalign=align, **AS_IT_IS)
            if max(map(len, text.splitlines())) <= width:
                return text
    return "\n\n".join(_listed(heads, row) for row in rows)


def _listed(heads: Sequence[str], cells: Sequence[str]) -> str:
    pairs = [pair for pair in zip(heads, cells) if pair[1]]
    return tabulate(pairs, tablefmt="plain", disable_numparse=True)
