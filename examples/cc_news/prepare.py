"""News articles as JSON lines to text, an article a line: prepare.py RAW DEST

RAW holds *.jsonl or *.jsonl.gz, an object with "text" in each line; where it has "language", others
than "en" are left out. Equal articles are kept once. A hash of its text decides the split of an
article, so that it stays there whatever else is downloaded.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, Set

from fairseq_ebm.cli.program import ArgumentParser, progress, run, whole_number
from fairseq_ebm.data.sources import SPLITS, text_digest
from fairseq_ebm.errors import UserError

MILLION = 10**6


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


def split_of(digest: int, arguments: argparse.Namespace) -> str:
    place = digest % MILLION
    if place < arguments.valid:
        return "valid"
    return "test" if place < arguments.valid + arguments.test else "train"


def main(arguments: argparse.Namespace) -> None:
    arguments.dest.mkdir(parents=True, exist_ok=True)
    seen: Set[int] = set()  # about 70 bytes an article
    with ExitStack() as stack:
        paths = {split: arguments.dest / f"{split}.txt" for split in SPLITS}
        out = {s: stack.enter_context(p.open("w", encoding="utf-8")) for s, p in paths.items()}
        for text in progress(articles(arguments.raw), "articles", None, arguments.quiet):
            digest = text_digest(text)
            if digest not in seen:
                seen.add(digest)
                out[split_of(digest, arguments)].write(f"{text}\n")
    if not arguments.quiet:
        print(f"{len(seen):,} different articles in {arguments.dest}")


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="prepare.py", description=__doc__)
    parser.add_argument("raw", type=Path, metavar="RAW")
    parser.add_argument("dest", type=Path, metavar="DEST", help="folder for train.txt, …")
    held_out = {"valid": 46, "test": 157}  # 1.0 and 3.4 of 21,722 million tokens
    for split, share in held_out.items():
        words = f"of a million articles, how many for {split} (default: {share})"
        parser.add_argument(f"--{split}", type=whole_number(0), default=share, help=words)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


if __name__ == "__main__":
    run(build_parser(), main)
