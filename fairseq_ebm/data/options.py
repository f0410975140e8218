"""What ``fairseq-ebm prepare`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

from ..errors import OptionError
from ..options import REQUIRED, Quiet, one_of, option, whole

SPLITS = ("train", "valid", "test")
BUILT_IN = ("pydocs", "pysource", "addition")
VOCAB_SIZE = 8000
TEXT = "text, one of"


def _files(split: str) -> Tuple[Path, ...]:
    files: Tuple[Path, ...] = option(
        (), f"UTF-8 text for the split {split}", metavar="FILE", group=TEXT, many=True
    )
    return files


@dataclass(frozen=True)
class Prepare(Quiet):
    """Makes a vocabulary, encodes text with it, and writes to DEST what fairseq-preprocess
    --only-source would (dict.txt, and .bin and .idx of each split), and beside them
    sentencepiece.model and prepare.json, which says what was done.

      fairseq-ebm prepare --corpus pydocs --dest data/pydocs
      fairseq-ebm prepare --train a.txt b.txt --valid v.txt --test t.txt --dest data/mine
      fairseq-ebm prepare --test other.txt --vocab-from data/mine --dest data/other

    In files, every line is a document and ends in </s>. Text is kept as it is, to the byte.
    """

    corpus: Optional[str] = option(
        None,
        "built-in corpus, which needs no network: the running Python's documentation, its source "
        "code without that documentation, or sums of numbers, whose true probabilities are known",
        one_of(*BUILT_IN),
        group=TEXT,
    )
    train: Tuple[Path, ...] = _files("train")
    valid: Tuple[Path, ...] = _files("valid")
    test: Tuple[Path, ...] = _files("test")
    dest: Path = option(REQUIRED, "directory to write", metavar="DEST")
    vocab_size: Optional[int] = option(
        None,
        f"symbols in the vocabulary, 4 special ones and 256 bytes included (default: {VOCAB_SIZE})",
        whole(1, 10**7),
    )
    vocab_from: Optional[Path] = option(
        None, "use the vocabulary of this prepared directory", metavar="DATA"
    )
    digits: int = option(10, "addition only: digits of a term", whole(1, 1000))
    seed: int = option(1, "addition only: which sums", whole())

    @property
    def files(self) -> Dict[str, Tuple[Path, ...]]:
        return {split: paths for split in SPLITS if (paths := getattr(self, split))}

    def check(self) -> None:
        if not self.corpus and not self.files:
            raise OptionError("give the text: {corpus}, or {train}, {valid} and {test}")
        if self.corpus and self.files:
            first = next(iter(self.files))
            raise OptionError(
                f"{{{first}}}: {{corpus}} {self.corpus} brings its own text; drop one"
            )
        if self.vocab_size and self.vocab_from:
            raise OptionError("{vocab_size}: {vocab_from} brings the vocabulary; drop one")
        if self.files and not self.train and not self.vocab_from:
            raise OptionError(
                "{train}: needed to make a vocabulary, unless {vocab_from} brings one"
            )
