"""Sources of documents: built-in corpora or the user's files, as re-readable splits."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Dict, List, Optional, Union

from ..errors import UserError
from . import addition, python_corpora
from .json_lines import read_texts
from .options import SPLITS

HELD_OUT_PERCENT = 10  # of the documents are in valid, and as many in test


def built_in_corpus(name: str, digits: int, seed: int) -> Dict[str, List[str]]:
    """The documents of a built-in corpus by split: distinct, in the order of the corpus."""
    if name == "addition":
        documents: Iterable[str] = addition.sums(digits, seed)
    else:
        documents = getattr(python_corpora, name)()
    splits: Dict[str, List[str]] = {split: [] for split in SPLITS}
    for document in dict.fromkeys(documents):
        splits[split_of(document)].append(document)
    for split in SPLITS:
        if not splits[split]:
            problem = f"this Python has no text for the split {split}"
            raise UserError(f"--corpus {name}: {problem}; use another Python or corpus")
    return splits


def libraries_of(corpus: Optional[str]) -> List[str]:
    """The distributions whose versions decide the text of a built-in corpus, beside Python's."""
    if corpus != "packages":
        return []
    return [python_corpora.DISTRIBUTIONS.get(name, name) for name in python_corpora.PACKAGES]


def text_digest(document: str) -> int:
    """A document's 64-bit hash."""
    return int.from_bytes(hashlib.blake2b(document.encode("utf-8"), digest_size=8).digest(), "big")


def split_of(document: str) -> str:
    """Decided by the text alone: a document is in the same split in every corpus."""
    percentile = text_digest(document) % 100
    if percentile < HELD_OUT_PERCENT:
        return "valid"
    return "test" if percentile < 2 * HELD_OUT_PERCENT else "train"


class TextFiles:
    """The lines of UTF-8 files, in order, each a document without its line feed; of a file of JSON
    lines (.jsonl) the "text" of each.

    As in ``fairseq-preprocess``, which writes an end-of-sentence symbol after every line. But only
    "\\n" ends a line; every other character is part of the text, even a carriage return.
    """

    def __init__(self, paths: Sequence[Union[str, Path]]) -> None:
        self.paths = [Path(path) for path in paths]
        self.documents: Dict[str, int] = {}  # of each file, as last read

    @property
    def name(self) -> str:
        return ", ".join(str(path) for path in self.paths)

    def __iter__(self) -> Iterator[str]:
        self.documents, once = {}, len(set(self.paths)) == len(self.paths)
        for path in self.paths:
            if path.exists() and not path.is_file() and not path.is_dir():
                raise UserError(f"{path}: text is read more than once; pass a file, not a pipe")
            texts = read_texts(path) if path.suffix == ".jsonl" else _lines(path)
            for count, text in enumerate(texts, start=1):
                if once:  # else it is not clear whose a document is
                    self.documents[str(path)] = count
                yield text


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield _decode(line[:-1] if line.endswith(b"\n") else line, path, number)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _decode(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1} of the line is 0x{line[error.start]:02X}"
        problem = f"line {number} is not UTF-8 ({byte}); convert the file to UTF-8"
        raise UserError(f"{path}: {problem}") from None
