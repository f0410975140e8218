"""What ``fairseq-ebm prepare`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

from ..errors import OptionError
from ..options import REQUIRED, Quiet, choice, file, text, whole

SPLITS = ("train", "valid", "test")
BUILT_IN = ("pydocs", "pysource", "packages", "addition")
VOCAB_SIZE = 8000
HUGGING_FACE = "hf:"  # before a model's folder
DIGITS = 10


@dataclass(frozen=True)
class Prepare(Quiet):
    """Makes a vocabulary, encodes text with it, and writes to DEST what fairseq-preprocess
    --only-source would (dict.txt, and .bin and .idx of each split), and beside them
    sentencepiece.model and prepare.json, which says what was done.

      fairseq-ebm prepare --corpus pydocs --dest data/pydocs
      fairseq-ebm prepare --train a.txt b.txt --valid v.txt --test t.txt --dest data/mine
      fairseq-ebm prepare --test other.txt --vocab-from data/mine --dest data/other
      fairseq-ebm prepare --corpus pydocs --tokenizer hf:MODEL_DIR --dest data/gpt2

    In files, every line is a document and ends in </s>; in JSON lines (.jsonl), the "text" of every
    line. Text is kept as it is, to the byte.
    """

    makes = "text -> vocabulary and tokens"
    work = "data.prepare:prepare_text"

    corpus: Optional[str] = choice(
        None,
        "built-in corpus, which needs no network: the running Python's documentation, its source "
        "code without that documentation, documentation of numpy, torch and five other packages "
        "that are installed with this one, or sums of numbers, whose true probabilities are known",
        BUILT_IN, group="text, one of",
    )  # fmt: skip
    train: Tuple[Path, ...] = file((), "UTF-8 text to learn from", "FILE", many=True)
    valid: Tuple[Path, ...] = file((), "UTF-8 text for validation", "FILE", many=True)
    test: Tuple[Path, ...] = file((), "UTF-8 text for the final figures", "FILE", many=True)
    dest: Path = file(REQUIRED, "directory to write", "DEST", group="")
    vocab_size: Optional[int] = whole(
        None,
        f"symbols in the vocabulary, 4 special ones and 256 bytes included (default: {VOCAB_SIZE})",
        1, 10**7,
    )  # fmt: skip
    vocab_from: Optional[Path] = file(None, "use this prepared directory's vocabulary", "DATA")
    tokenizer: Optional[str] = text(
        None,
        "use the tokenizer of a Hugging Face model: its own symbols, in its own order "
        "(pip install 'fairseq-ebm[hf]')",
        "hf:MODEL_DIR",
    )
    digits: int = whole(DIGITS, "addition only: digits of a term", 1, 1000)
    seed: int = whole(1, "addition only: which sums")

    @property
    def files(self) -> Dict[str, Tuple[Path, ...]]:
        return {split: paths for split in SPLITS if (paths := getattr(self, split))}

    @property
    def tokenizer_folder(self) -> Path:
        return Path(str(self.tokenizer)[len(HUGGING_FACE) :])

    def check(self) -> None:
        super().check()
        self.refuse_a_file("dest")
        if not self.corpus and not self.files:
            raise OptionError("give the text: {corpus}, or {train}, {valid} and {test}")
        if self.corpus and self.files:
            first = next(iter(self.files))
            problem = f"{{corpus}} {self.corpus} brings its own text; drop one"
            raise OptionError(f"{{{first}}}: {problem}")
        if self.digits != DIGITS and self.corpus != "addition":
            raise OptionError("{digits}: of {corpus} addition only; drop it")
        if self.vocab_size and self.vocab_from:
            raise OptionError("{vocab_size}: {vocab_from} brings the vocabulary; drop one")
        if self.tokenizer and not self.tokenizer.startswith(HUGGING_FACE):
            raise OptionError(f"{{tokenizer}}: give {HUGGING_FACE}MODEL_DIR, not {self.tokenizer}")
        if self.tokenizer and (self.vocab_size or self.vocab_from):
            other = "vocab_size" if self.vocab_size else "vocab_from"
            raise OptionError(f"{{{other}}}: {{tokenizer}} brings the vocabulary; drop one")
        if self.tokenizer and self.corpus == "addition":
            raise OptionError("{tokenizer}: {corpus} addition has symbols of its own; drop it")
        if self.files and not (self.train or self.vocab_from or self.tokenizer):
            others = "{vocab_from} or {tokenizer} has one"
            raise OptionError(f"{{train}}: needed to make a vocabulary, unless {others}")
