"""What people said: preferences, and who can tell real text from generated. P1 table 2."""

from collections.abc import Iterator
from typing import List

from ..options import Record
from .page import Item, Named, Table, percent, share_of


def preferences(named: Named) -> Iterator[Item]:
    record = named.record
    rows = [_preference(row, unit) for row in record["preferences"] for unit in ("votes", "items")]
    kept = f"{record['raters_kept']} raters kept, {record['raters_dropped']} dropped"
    yield Table(["", "wins", "ties", "losses", "preferred", "p"], rows, named.says(kept))
    for rater in record["raters"]:
        if rater["dropped"] or not rater["kept"]:
            failed = f"failed {rater['failed']} of {rater['checks']} checks"
            why = "did not qualify" if rater["qualified"] is False else failed
            lost = f"{rater['dropped']} of {rater['votes']} votes dropped"
            yield named.says(f"{rater['rater']}: {why}; {lost}")


def _preference(row: Record, unit: str) -> List[str]:
    counted, p = row[unit], row[unit]["p_value"]
    label = f"{row['first']} over {row['second']}, {unit}"
    counts = [f"{counted[name]:,}" for name in ("wins", "ties", "losses")]
    return [label, *counts, share_of(counted, "preference"), "–" if p is None else f"{p:.2g}"]


def ranking(named: Named) -> Iterator[Item]:
    raters = sorted(named.record["raters"], key=lambda rater: -rater["right"])
    rows = []
    for rater in raters:
        remark = "" if rater["qualified"] else "not qualified"
        rows.append([rater["rater"], f"{rater['right']:,}", percent(rater["accuracy"], 2), remark])
    note = f"{named.record['qualified']} of {len(raters)} raters qualified"
    yield Table(["rater", "right", "accuracy", ""], rows, note)


def written(named: Named) -> Iterator[Item]:
    record = named.record
    yield f"written: {record['page']}: {record['items']} items, {record['checks']} of them checks"
    yield f"written: {record['key']}: whose the texts are; keep it from the raters"
    for row in record["identical"]:
        names = ",".join(row["pair"])
        yield f"{names}: the same words after {row['identical']:,} of {row['prompts']:,} prompts"
