"""WikiText's raw files to running text, as the paper's samples show it."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fairseq_ebm.cli.main import ending
from fairseq_ebm.cli.parser import parse
from fairseq_ebm.data.sources import SPLITS, TextFiles
from fairseq_ebm.options import REQUIRED, Quiet, file
from fairseq_ebm.progress import progress, silence

HEADING = re.compile(r"(=(?: =)*) (.*) \1")
RULES = [
    (re.compile(r" @([-,.])@ "), r"\1"),  # inside numbers and compounds
    (re.compile(r'" ([^"]*?) ?"'), r'"\1"'),
    (re.compile(r"(?<=\w) '(?=\w)"), "'"),  # didn 't, John 's
    (re.compile(r"(?<=s) '(?= )"), "'"),  # the actors ' union
    (re.compile(r" ([,.;:!?%)\]])"), r"\1"),
    (re.compile(r"([(\[$£]) "), r"\1"),
]


@dataclass(frozen=True)
class Arguments(Quiet):
    """WikiText's raw files to running text, as the paper's samples show it.

    WikiText spells " = Robert Boulter = " and "film , television @-@ like" with spaces around every
    token; Real or Fake has "=Robert Boulter=" and "film, television-like". Lines stay lines.
    """

    raw: Path = file(REQUIRED, "folder with wiki.train.raw, …", "RAW", argument=True)
    dest: Path = file(REQUIRED, "folder for train.txt, …", "DEST", argument=True)


def detokenize(line: str) -> str:
    line = line.strip()
    heading = HEADING.fullmatch(line)
    if heading:
        sign = heading.group(1).replace(" ", "")
        return f"{sign}{detokenize(heading.group(2))}{sign}"
    for pattern, replacement in RULES:
        line = pattern.sub(replacement, line)
    return line


def lines(raw: Path, split: str) -> Iterator[str]:
    source = TextFiles([str(raw / f"wiki.{split}.raw")])
    for line in progress(source, f"{split} (lines)"):
        yield f"{detokenize(line)}\n"


def main(options: Arguments) -> None:
    options.dest.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        with (options.dest / f"{split}.txt").open("w", encoding="utf-8", newline="\n") as out:
            out.writelines(lines(options.raw, split))


if __name__ == "__main__":
    asked = parse("detokenize.py", Arguments, sys.argv[1:])
    with ending("detokenize.py", asked), silence(asked.quiet):
        main(asked)
