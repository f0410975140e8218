"""The beginnings of documents, as the paper's authors prepare them."""

import gzip
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Optional, Tuple

from fairseq_ebm.cli.main import ending
from fairseq_ebm.cli.parser import parse
from fairseq_ebm.errors import UserError
from fairseq_ebm.options import REQUIRED, Quiet, file, whole
from fairseq_ebm.progress import progress, silence


@dataclass(frozen=True)
class Arguments(Quiet):
    """The beginnings of documents, as the paper's authors prepare them.

    Of each line's "text" in JSON lines, plain or .gz, the first --characters, white space of any
    kind a space: one a line of OUT.
    """

    out: Path = file(REQUIRED, "text to write", "OUT", argument=True)
    sources: Tuple[Path, ...] = file(
        REQUIRED, "documents", "IN.jsonl[.gz]", argument=True, many=True
    )
    characters: int = whole(256, "of a document", 1)
    skip: int = whole(0, "documents at the beginning")
    most: Optional[int] = whole(None, "documents to write", 1)


def texts(path: Path) -> Iterator[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield str(json.loads(line)["text"])
                except (ValueError, KeyError, TypeError):
                    raise UserError(f'{path}: line {number} has no "text"') from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def shortened(text: str, characters: int) -> str:
    return "".join(" " if letter.isspace() else letter for letter in text[:characters])


def main(options: Arguments) -> None:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    documents = (text for path in options.sources for text in texts(path) if text.strip())
    last = None if options.most is None else options.skip + options.most
    count = 0
    with options.out.open("w", encoding="utf-8") as out:
        for text in progress(islice(documents, options.skip, last), "documents", options.most):
            out.write(shortened(text, options.characters) + "\n")
            count += 1
    if options.most is not None and count < options.most:
        raise UserError(f"{options.out}: only {count:,} of {options.most:,} documents were there")
    if not options.quiet:
        print(f"{options.out}: {count:,} documents")


if __name__ == "__main__":
    asked = parse("shorten.py", Arguments, sys.argv[1:])
    with ending("shorten.py", asked), silence(asked.quiet):
        main(asked)
