"""What people said: preferences, and who can tell real text from generated. P1 table 2."""

from collections.abc import Iterator, Sequence
from typing import Any, Dict, List

from .page import Item, Named, Paper, Table, percent, share_of

UNITS = ("votes", "items")


def preferences(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [item for each in records for item in _preferences(each)]


def _preferences(named: Named) -> Iterator[Item]:
    record = named.record
    rows = [
        [f"{row['first']} over {row['second']}, {unit}", *_counts(row[unit])]
        for row in record["preferences"]
        for unit in UNITS
    ]
    kept = f"{record['raters_kept']} raters kept, {record['raters_dropped']} dropped"
    yield Table(["", "wins", "ties", "losses", "preferred", "p"], rows, named.says(kept))
    for rater in record["raters"]:
        if rater["dropped"] or not rater["kept"]:
            failed = f"failed {rater['failed']} of {rater['checks']} checks"
            why = "did not qualify" if rater["qualified"] is False else failed
            lost = f"{rater['dropped']} of {rater['votes']} votes dropped"
            yield named.says(f"{rater['rater']}: {why}; {lost}")


def _counts(counted: Dict[str, Any]) -> List[str]:
    p = counted["p_value"]
    return [
        *(f"{counted[name]:,}" for name in ("wins", "ties", "losses")),
        share_of(counted, "preference"),
        "–" if p is None else f"{p:.2g}",
    ]


def ranking(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [
        Table(
            ["rater", "right", "accuracy", ""],
            [
                [
                    rater["rater"],
                    f"{rater['right']:,}",
                    percent(rater["accuracy"], 2),
                    "" if rater["qualified"] else "not qualified",
                ]
                for rater in sorted(record["raters"], key=lambda rater: -rater["right"])
            ],
            f"{record['qualified']} of {len(record['raters'])} raters qualified",
        )
        for _, record in records
    ]


def written(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [item for _, record in records for item in _written(record)]


def _written(record: Dict[str, Any]) -> Iterator[Item]:
    yield f"written: {record['page']}: {record['items']} items, {record['checks']} of them checks"
    yield f"written: {record['key']}: whose the texts are; keep it from the raters"
    for row in record["identical"]:
        names = ",".join(row["pair"])
        yield f"{names}: the same words after {row['identical']:,} of {row['prompts']:,} prompts"
