"""What was made, where no figures came of it."""

from collections.abc import Iterator

from .page import Item, Named, Table


def prepared(named: Named) -> Iterator[Item]:
    record, columns = named.record, ("documents", "characters", "tokens")
    splits = record["splits"].items()
    rows = [[split, *(f"{counts[name]:,}" for name in columns)] for split, counts in splits]
    size = f"vocabulary of {record['vocabulary']['size']:,} symbols"
    yield Table(["", *columns], rows, f"{size}; prepared in {record.get('dest')}")
    for split, counts in splits:
        if counts["also_in_train"]:
            also = f"{counts['also_in_train']:,}"
            yield f"note: distinct documents of {split} that are in train too: {also}"
        if counts["unknown"]:
            yield f"note: {counts['unknown']:,} tokens of {split} are not in the vocabulary (<unk>)"
        if counts.get("altered"):
            also = f"{counts['altered']:,} documents of {split}"
            yield f"note: {also} come back altered: the tokenizer loses a part of such text"


def negatives(named: Named) -> Iterator[Item]:
    record = named.record
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
        yield from shard(Named("", {"complete": True, **record}))


def shard(named: Named) -> Iterator[Item]:
    record = named.record
    done = f"complete; when all are: --merge {record['merge']}" if record["complete"] else "stopped"
    yield f"shard {record['shard']} of {record['shards']}: {done}"


def written(named: Named) -> Iterator[Item]:
    yield f"written: {', '.join(named.record['files'])}"


def stages(named: Named) -> Iterator[Item]:
    record = named.record
    if record["done"]:
        pages = "".join(f"look at {page}; " for page in record["pages"])
        yield f"Done: {pages}everything is in {record['folder']}"
    else:
        yield "\n".join(record["commands"])


def explored(named: Named) -> Iterator[Item]:
    yield f"{named.record['address']} is closed"
