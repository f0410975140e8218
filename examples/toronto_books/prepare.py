"""Text files of books to train.txt, valid.txt and test.txt."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fairseq_ebm.cli.main import ending
from fairseq_ebm.cli.parser import parse
from fairseq_ebm.data.sources import SPLITS, TextFiles, text_digest
from fairseq_ebm.errors import UserError
from fairseq_ebm.options import REQUIRED, Quiet, file, whole
from fairseq_ebm.progress import progress, silence

MILLION = 10**6


@dataclass(frozen=True)
class Arguments(Quiet):
    """Text files of books to train.txt, valid.txt and test.txt.

    Lines of RAW/**/*.txt are cut into stretches, and a hash of its text decides the split of a
    stretch: whole chapters stay together, whether a file is a book or, as books_large_p1.txt, all
    of them.
    """

    raw: Path = file(REQUIRED, "folder with *.txt, at any depth", "RAW", argument=True)
    dest: Path = file(REQUIRED, "folder for train.txt, …", "DEST", argument=True)
    # 7.3 and 8.0 of 705.3 million tokens
    valid: int = whole(10_350, "of a million stretches, how many for valid")
    test: int = whole(11_343, "of a million stretches, how many for test")
    stretch: int = whole(5000, "lines of a stretch", 1)


def stretches(raw: Path, length: int) -> Iterator[str]:
    paths = sorted(raw.rglob("*.txt"))
    if not paths:
        raise UserError(f"{raw}: no *.txt in it")
    for path in paths:
        lines = iter(TextFiles([str(path)]))
        while stretch := "".join(f"{line}\n" for line in islice(lines, length)):
            yield stretch


def split_of(stretch: str, options: Arguments) -> str:
    place = text_digest(stretch) % MILLION
    if place < options.valid:
        return "valid"
    return "test" if place < options.valid + options.test else "train"


def main(options: Arguments) -> None:
    options.dest.mkdir(parents=True, exist_ok=True)
    found = stretches(options.raw, options.stretch)
    with ExitStack() as stack:
        paths = {split: options.dest / f"{split}.txt" for split in SPLITS}
        out = {s: stack.enter_context(p.open("w", encoding="utf-8")) for s, p in paths.items()}
        for stretch in progress(found, "stretches"):
            out[split_of(stretch, options)].write(stretch)


if __name__ == "__main__":
    asked = parse("prepare.py", Arguments, sys.argv[1:])
    with ending("prepare.py", asked), silence(asked.quiet):
        main(asked)
