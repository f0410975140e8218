"""The first paper's table 3: the likeliest next tokens of the language model and of the joint
model, side by side, each renormalised among its own."""

from collections.abc import Sequence
from typing import List

from .page import Item, Named, Paper, Table, between, percent

HEADS = ["base LM", "of its top", "joint", "of its top", "among all (95% of sampling)", "bounds"]


def items(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [item for each in records for item in (_table(each), *each.record["warnings"])]


def _table(named: Named) -> Table:
    record = named.record
    rows = [
        [
            repr(row["lm"]["text"]),
            percent(row["lm"]["share"]),
            repr(row["joint"]["text"]),
            percent(row["joint"]["share"]),
            percent(row["joint"]["joint"], 2) + between(row["joint"]["sampling_ci95"], 2, 100),
            f"{percent(row['joint']['joint_lower'], 2)} to "
            f"{percent(row['joint']['joint_upper'], 2)}",
        ]
        for row in record["top"]
    ]
    note = named.says(f"after {record['prefix']!r}; {record['num_samples']:,} completions of each ")
    note += f"of {len(record['candidates']):,} candidates. The likeliest {len(rows)} of each "
    note += "model, renormalised among themselves; the last two columns are among all candidates."
    return Table(HEADS, rows, note)
