"""Text files of books to train.txt, valid.txt and test.txt: prepare.py RAW DEST

Lines of RAW/**/*.txt are cut into stretches, and a hash of its text decides the split of a stretch:
whole chapters stay together, whether a file is a book or, as books_large_p1.txt, all of them.
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from fairseq_ebm.cli.program import ArgumentParser, progress, run, whole_number
from fairseq_ebm.data.sources import SPLITS, TextFiles, text_digest
from fairseq_ebm.errors import UserError

MILLION = 10**6


def stretches(raw: Path, length: int) -> Iterator[str]:
    paths = sorted(raw.rglob("*.txt"))
    if not paths:
        raise UserError(f"{raw}: no *.txt in it")
    for path in paths:
        lines = iter(TextFiles([str(path)]))
        while stretch := "".join(f"{line}\n" for line in islice(lines, length)):
            yield stretch


def split_of(stretch: str, arguments: argparse.Namespace) -> str:
    place = text_digest(stretch) % MILLION
    if place < arguments.valid:
        return "valid"
    return "test" if place < arguments.valid + arguments.test else "train"


def main(arguments: argparse.Namespace) -> None:
    arguments.dest.mkdir(parents=True, exist_ok=True)
    found = stretches(arguments.raw, arguments.stretch)
    with ExitStack() as stack:
        paths = {split: arguments.dest / f"{split}.txt" for split in SPLITS}
        out = {s: stack.enter_context(p.open("w", encoding="utf-8")) for s, p in paths.items()}
        for stretch in progress(found, "stretches", None, arguments.quiet):
            out[split_of(stretch, arguments)].write(stretch)


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="prepare.py", description=__doc__)
    parser.add_argument("raw", type=Path, metavar="RAW")
    parser.add_argument("dest", type=Path, metavar="DEST", help="folder for train.txt, …")
    held_out = {"valid": 10_350, "test": 11_343}  # 7.3 and 8.0 of 705.3 million tokens
    for split, share in held_out.items():
        words = f"of a million stretches, how many for {split} (default: {share})"
        parser.add_argument(f"--{split}", type=whole_number(0), default=share, help=words)
    parser.add_argument(
        "--stretch", type=whole_number(1), default=5000, help="lines (default: 5000)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


if __name__ == "__main__":
    run(build_parser(), main)
