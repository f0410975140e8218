"""Tables of accuracies across generators and corpora. P2 tables 2, 3, 4 and 7."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, List

from .page import Item, Named, Paper, Table, share_of


def items(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [item for each in records for item in _items(each)]


def _items(named: Named) -> Iterator[Item]:
    for title, rows in named.record["tables"].items():
        heads = list(next(iter(rows.values())))
        cells = [[label, *(share_of(row[head], "accuracy") for head in heads)]
                 for label, row in rows.items()]  # fmt: skip
        note = f"{title}. Accuracy, {_windows(rows)} real windows; 95% intervals."
        yield Table(["", *heads], cells, named.says(note))
    claims = [
        [f["claim"], f["verdict"], "; ".join(f"{a:.1%} > {b:.1%}" for a, b in f["pairs"])]
        for f in named.record["findings"]
    ]
    if claims:
        yield Table(["claim of the paper", "here", "higher > lower"], claims)


def _windows(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A count, or the least and the most of the cells'."""
    counts = {cell["n_real"] for row in rows.values() for cell in row.values()}
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
