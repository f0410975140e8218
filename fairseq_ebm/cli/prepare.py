"""fairseq-ebm-prepare: text to a directory that fairseq and fairseq_ebm read."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from ..data.prepare import PreparedText, Vocabulary, prepare
from ..data.sources import BUILT_IN, SPLITS, TextFiles, built_in_corpus
from ..errors import UserError
from .program import ArgumentParser, progress, run, whole_number

DESCRIPTION = """\
Makes a vocabulary, encodes text with it, and writes to DEST what fairseq-preprocess
--only-source would (dict.txt, and .bin and .idx of each split), and beside them
sentencepiece.model and prepare.json, which tells what was done.

  fairseq-ebm-prepare --corpus pydocs --dest data/pydocs
  fairseq-ebm-prepare --train a.txt b.txt --valid v.txt --test t.txt --dest data/mine
  fairseq-ebm-prepare --test other.txt --vocab-from data/mine --dest data/other

In files, every line is a document and ends in </s>. Text is kept as it is, to the byte.
"""
CORPUS_HELP = """\
built-in corpus, which needs no network: the running Python's documentation, its source code
without that documentation, or sums of numbers, whose true probabilities are known"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-prepare", description=DESCRIPTION)
    text = parser.add_argument_group("text, one of")
    text.add_argument("--corpus", choices=BUILT_IN, help=CORPUS_HELP)
    for split in SPLITS:
        text.add_argument(
            f"--{split}",
            nargs="+",
            action="extend",
            metavar="FILE",
            help=f"UTF-8 text for the split {split}",
        )
    parser.add_argument("--dest", required=True, metavar="DEST", help="directory to write")
    vocabulary = parser.add_mutually_exclusive_group()
    vocabulary.add_argument(
        "--vocab-size",
        type=whole_number(1, 10**7),
        default=8000,
        metavar="N",
        help="symbols in the vocabulary, 4 special ones and 256 bytes included (default: 8000)",
    )
    vocabulary.add_argument(
        "--vocab-from", metavar="DATA", help="use the vocabulary of this prepared directory"
    )
    parser.add_argument(
        "--digits",
        type=whole_number(1, 1000),
        default=10,
        metavar="N",
        help="addition only: digits of a term (default: 10)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0),
        default=1,
        metavar="N",
        help="addition only: which sums (default: 1)",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def check(arguments: argparse.Namespace) -> None:
    """What argparse cannot say: which flags belong together."""
    files = [split for split in SPLITS if getattr(arguments, split)]
    if not arguments.corpus and not files:
        raise UserError("give the text: --corpus, or --train, --valid and --test")
    if arguments.corpus and files:
        raise UserError(f"--{files[0]}: --corpus {arguments.corpus} brings its own text; drop one")
    if files and not arguments.train and not arguments.vocab_from:
        raise UserError("--train: needed to make a vocabulary, unless --vocab-from brings one")


def sources(
    arguments: argparse.Namespace,
) -> Tuple[Mapping[str, Any], Vocabulary, Dict[str, Any]]:
    """The splits, how to encode them, and the options that the record keeps."""
    options: Dict[str, Any] = {}
    splits: Mapping[str, Any]
    if arguments.corpus:
        splits = built_in_corpus(arguments.corpus, arguments.digits, arguments.seed)
        options["corpus"] = arguments.corpus
        if arguments.corpus == "addition":
            options.update(digits=arguments.digits, seed=arguments.seed)
    else:
        files = {split: getattr(arguments, split) for split in SPLITS if getattr(arguments, split)}
        splits = {split: TextFiles(paths) for split, paths in files.items()}
        options.update(files)
    if arguments.vocab_from:
        options["vocab_from"] = arguments.vocab_from
        return splits, Vocabulary("copy", source=Path(arguments.vocab_from)), options
    if arguments.corpus == "addition":
        return splits, Vocabulary("symbols"), options
    options["vocab_size"] = arguments.vocab_size
    return splits, Vocabulary("sentencepiece", options["vocab_size"]), options


def table(record: PreparedText, dest: Path) -> str:
    lines = [f"{'':7}{'documents':>12}{'characters':>14}{'tokens':>14}"]
    for split, counts in record.splits.items():
        lines.append(f"{split:7}{counts.documents:12,}{counts.characters:14,}{counts.tokens:14,}")
    lines.append(f"vocabulary of {record.vocabulary['size']:,} symbols; prepared in {dest}")
    lines += warnings(record)
    return "\n".join(lines)


def warnings(record: PreparedText) -> List[str]:
    lines = []
    for split, counts in record.splits.items():
        if counts.also_in_train:
            lines.append(
                f"note: {counts.also_in_train:,} distinct documents of {split} stand in train too"
            )
        if counts.unknown:
            lines.append(
                f"note: {counts.unknown:,} tokens of {split} are not in the vocabulary (<unk>)"
            )
    return lines


def prepare_text(arguments: argparse.Namespace) -> None:
    check(arguments)
    splits, vocabulary, options = sources(arguments)
    dest = Path(arguments.dest)
    record = prepare(splits, vocabulary, options, dest, partial(progress, quiet=arguments.quiet))
    if not arguments.quiet:
        print(table(record, dest))


def main() -> None:
    run(build_parser(), prepare_text)


if __name__ == "__main__":
    main()
