"""What was made, where no figures came of it."""

from collections.abc import Iterator, Sequence
from typing import List

from .page import Item, Named, Paper, Record, Table


def prepared(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [item for each in records for item in _prepared(each.record)]


def _prepared(record: Record) -> Iterator[Item]:
    columns = ("documents", "characters", "tokens")
    rows = [
        [split, *(f"{counts[column]:,}" for column in columns)]
        for split, counts in record["splits"].items()
    ]
    size = record["vocabulary"]["size"]
    yield Table(
        ["", *columns], rows, f"vocabulary of {size:,} symbols; prepared in {record.get('dest')}"
    )
    for split, counts in record["splits"].items():
        if counts["also_in_train"]:
            also = f"{counts['also_in_train']:,} distinct documents of {split}"
            yield f"note: {also} are in train too"
        if counts["unknown"]:
            yield f"note: {counts['unknown']:,} tokens of {split} are not in the vocabulary (<unk>)"


def negatives(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [item for each in records for item in _negatives(each.record)]


def _negatives(record: Record) -> Iterator[Item]:
    for path, counts in record.get("files", {}).items():
        if counts["bad_lines"]:
            first = counts["first_bad_line"]
            yield f"{path}: {counts['bad_lines']:,} bad lines passed over; the first: {first}"
        if counts["too_short"]:
            yield f"{path}: {counts['too_short']:,} texts are shorter than a window; left out"
    for subset, sizes in record["subsets"].items():
        words = f"{subset}: {sizes['windows']:,} windows"
        if "negatives" in sizes:
            words += f", {sizes['negatives']} negatives each"
        if "generated" in sizes:
            words += f" and {sizes['generated']:,} generated"
        yield words
    if "shard" in record:
        yield from shard([Named("", {"complete": True, **record})], {})


def shard(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [
        f"shard {record['shard']} of {record['shards']}: "
        + ("complete; after all: --merge " + record["merge"] if record["complete"] else "stopped")
        for _, record in records
    ]


def written(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [f"written: {', '.join(record['files'])}" for _, record in records]


def stages(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [
        f"Done. Everything is in {record['folder']}"
        if record["done"]
        else "\n".join(record["commands"])
        for _, record in records
    ]
