"""WikiText's raw files to running text, as the paper's samples show it: detokenize.py RAW DEST

WikiText spells " = Robert Boulter = " and "film , television @-@ like" with spaces around every
token; Real or Fake has "=Robert Boulter=" and "film, television-like". Lines stay lines.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from fairseq_ebm.cli.program import ArgumentParser, progress, run
from fairseq_ebm.data.sources import SPLITS, TextFiles

HEADING = re.compile(r"(=(?: =)*) (.*) \1")
RULES = [
    (re.compile(r" @([-,.])@ "), r"\1"),  # inside numbers and compounds
    (re.compile(r'" ([^"]*?) ?"'), r'"\1"'),
    (re.compile(r"(?<=\w) '(?=\w)"), "'"),  # didn 't, John 's
    (re.compile(r"(?<=s) '(?= )"), "'"),  # the actors ' union
    (re.compile(r" ([,.;:!?%)\]])"), r"\1"),
    (re.compile(r"([(\[$£]) "), r"\1"),
]


def detokenize(line: str) -> str:
    line = line.strip()
    heading = HEADING.fullmatch(line)
    if heading:
        sign = heading.group(1).replace(" ", "")
        return f"{sign}{detokenize(heading.group(2))}{sign}"
    for pattern, replacement in RULES:
        line = pattern.sub(replacement, line)
    return line


def lines(raw: Path, split: str, quiet: bool) -> Iterator[str]:
    source = TextFiles([str(raw / f"wiki.{split}.raw")])
    for line in progress(source, f"{split} (lines)", None, quiet):
        yield f"{detokenize(line)}\n"


def main(arguments: argparse.Namespace) -> None:
    arguments.dest.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        with (arguments.dest / f"{split}.txt").open("w", encoding="utf-8", newline="\n") as out:
            out.writelines(lines(arguments.raw, split, arguments.quiet))


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="detokenize.py", description=__doc__)
    parser.add_argument("raw", type=Path, metavar="RAW", help="folder with wiki.train.raw, …")
    parser.add_argument("dest", type=Path, metavar="DEST", help="folder for train.txt, …")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


if __name__ == "__main__":
    run(build_parser(), main)
