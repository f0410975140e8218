"""The first paper's table 3: the likeliest next tokens of the language model and of the joint
model, side by side, each renormalised among its own."""

from collections.abc import Mapping
from typing import Any, List

from .page import Table, between, percent

HEADS = ["base LM", "of its top", "joint", "of its top", "among all (95% of sampling)", "bounds"]


def top_tokens(name: str, record: Mapping[str, Any], count: int) -> Table:
    """Of a record of fairseq-ebm-next-token, whose candidates are in the joint model's order."""
    joint = record["candidates"][:count]
    lm = sorted(record["candidates"], key=lambda row: -row["lm"])[:count]
    of_lm, of_joint = sum(row["lm"] for row in lm), sum(row["joint"] for row in joint)
    rows: List[List[str]] = [
        [
            repr(ours["text"]),
            percent(ours["lm"] / of_lm),
            repr(theirs["text"]),
            percent(theirs["joint"] / of_joint),
            percent(theirs["joint"], 2) + between(theirs["sampling_ci95"], 2, 100),
            f"{percent(theirs['joint_lower'], 2)} to {percent(theirs['joint_upper'], 2)}",
        ]
        for ours, theirs in zip(lm, joint)
    ]
    note = f"{name}: after {record['prefix']!r}; {record['num_samples']:,} completions of each of "
    note += f"{len(record['candidates']):,} candidates. The likeliest {len(rows)} of each model, "
    note += "renormalised among themselves; the last two columns are among all candidates."
    return Table(HEADS, rows, note)


def in_text(table: Table) -> str:
    """For a terminal."""
    columns = list(zip(table.heads, *table.rows))
    widths = [max(map(len, column)) for column in columns]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths)] for row in zip(*columns)]
    return "\n".join([*("  ".join(line).rstrip() for line in lines), table.note])
