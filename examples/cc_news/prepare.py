"""News articles as JSON lines to text, an article a line."""

import gzip
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Set

from fairseq_ebm.cli.main import ending
from fairseq_ebm.cli.parser import parse
from fairseq_ebm.data.sources import SPLITS, text_digest
from fairseq_ebm.errors import UserError
from fairseq_ebm.options import REQUIRED, Quiet, file, whole
from fairseq_ebm.progress import progress, silence

MILLION = 10**6


@dataclass(frozen=True)
class Arguments(Quiet):
    """News articles as JSON lines to text, an article a line.

    RAW holds *.jsonl or *.jsonl.gz, an object with "text" in each line; where it has "language",
    others than "en" are left out. Equal articles are kept once. A hash of its text decides the
    split of an article, so that it stays there whatever else is downloaded.
    """

    raw: Path = file(REQUIRED, "folder with *.jsonl, *.jsonl.gz", "RAW", argument=True)
    dest: Path = file(REQUIRED, "folder for train.txt, …", "DEST", argument=True)
    # 1.0 and 3.4 of 21,722 million tokens
    valid: int = whole(46, "of a million articles, how many for valid")
    test: int = whole(157, "of a million articles, how many for test")


def articles(raw: Path) -> Iterator[str]:
    paths = sorted([*raw.glob("*.jsonl"), *raw.glob("*.jsonl.gz")])
    if not paths:
        raise UserError(f"{raw}: no *.jsonl or *.jsonl.gz in it")
    for path in paths:
        opener: Any = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield from article(line, f"{path}: line {number}")


def article(line: str, where: str) -> Iterator[str]:
    try:
        content: Dict[str, Any] = json.loads(line)
        text = " ".join(content["text"].split())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f'{where} is not a JSON object with "text"') from None
    if text and content.get("language", "en") == "en":
        yield text


def split_of(digest: int, options: Arguments) -> str:
    place = digest % MILLION
    if place < options.valid:
        return "valid"
    return "test" if place < options.valid + options.test else "train"


def main(options: Arguments) -> None:
    options.dest.mkdir(parents=True, exist_ok=True)
    seen: Set[int] = set()  # about 70 bytes an article
    with ExitStack() as stack:
        paths = {split: options.dest / f"{split}.txt" for split in SPLITS}
        out = {s: stack.enter_context(p.open("w", encoding="utf-8")) for s, p in paths.items()}
        for text in progress(articles(options.raw), "articles"):
            digest = text_digest(text)
            if digest not in seen:
                seen.add(digest)
                out[split_of(digest, options)].write(f"{text}\n")
    if not options.quiet:
        print(f"{len(seen):,} different articles in {options.dest}")


if __name__ == "__main__":
    asked = parse("prepare.py", Arguments, sys.argv[1:])
    with ending("prepare.py", asked), silence(asked.quiet):
        main(asked)
