"""From text to the indices of a fairseq dictionary and back, without loss."""

import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Dict, List, Optional, Protocol, Union

import numpy as np
import sentencepiece
from fairseq.data import Dictionary

from ..errors import UserError
from ..files import sha256_of
from . import hugging_face
from .gpt2_bpe import ENCODER_NAME, MERGES_NAME, load_gpt2

MODEL_NAME = "sentencepiece.model"
DICTIONARY_NAME = "dict.txt"
VOCABULARY_FILES = (
    DICTIONARY_NAME, MODEL_NAME, ENCODER_NAME, MERGES_NAME, *hugging_face.NAMES,
)  # fmt: skip
SPACE = "\u2581"  # sentencepiece's sign for a space
SPACE_SIGN_BYTES = [f"<0x{byte:02X}>" for byte in SPACE.encode("utf-8")]
NUM_SPECIAL = 4  # <s> <pad> </s> <unk>, the first four in fairseq and in our models alike
LONGEST_TRAINING_LINE = 4000  # characters; sentencepiece would drop longer ones
TRAINING: Dict[str, Any] = {
    "model_type": "bpe", "byte_fallback": True, "character_coverage": 0.9995,
    "normalization_rule_name": "identity", "add_dummy_prefix": False,
    "remove_extra_whitespaces": False, "allow_whitespace_only_pieces": True,
    "max_sentence_length": 4 * LONGEST_TRAINING_LINE,  # in bytes
    "bos_id": 0, "pad_id": 1, "eos_id": 2, "unk_id": 3, "minloglevel": 2,
}  # fmt: skip
PROBLEMS = {  # sentencepiece's words: what is wrong with so many symbols
    r"Vocabulary size too high.*<= (\d+)": "more than this text supports; it allows at most",
    r"smaller than required_chars\. \d+ vs (\d+)": (
        "too few for the characters of this text; it needs at least"
    ),
}


class Tokenizer(Protocol):
    """Text <-> indices into ``dictionary``, without the end-of-sentence symbol."""

    dictionary: Dictionary

    def encode(self, texts: Sequence[str]) -> List[np.ndarray]:
        """One array of indices per text."""

    def decode(self, indices: Union[Sequence[int], np.ndarray]) -> str:
        """The text of ``indices``; an end-of-sentence symbol among them becomes a line feed."""


def load_tokenizer(data: Union[str, Path]) -> Tokenizer:
    """The tokenizer of prepared data: Hugging Face's, sentencepiece's or GPT-2's if its files are
    there, else the symbols themselves."""
    dictionary = load_dictionary(Path(data) / DICTIONARY_NAME)
    if any((Path(data) / name).exists() for name in hugging_face.NAMES):
        return hugging_face.load_prepared(Path(data), dictionary)
    model = Path(data) / MODEL_NAME
    if not model.exists():
        is_gpt2 = any((Path(data) / name).exists() for name in (ENCODER_NAME, MERGES_NAME))
        return load_gpt2(Path(data), dictionary) if is_gpt2 else SymbolTokenizer(dictionary)
    try:
        return SentencePieceTokenizer(model.read_bytes(), dictionary)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{model}: not a sentencepiece model ({error}); copy it again") from None


def vocabulary_hashes(folder: Path) -> Dict[str, str]:
    """Of the files of a vocabulary that are there."""
    names = [name for name in VOCABULARY_FILES if (folder / name).exists()]
    return {name: sha256_of(folder / name) for name in names}


def decode_behind(tokenizer: Tokenizer, before: Sequence[int], indices: Sequence[int]) -> str:
    """The text of ``indices`` that go on behind others: some of Hugging Face's tokenizers leave out
    the space that a text begins with."""
    if not isinstance(tokenizer, hugging_face.HuggingFaceTokenizer):
        return tokenizer.decode(indices)
    head, whole = tokenizer.decode(before), tokenizer.decode([*before, *indices])
    return whole[len(head) :] if whole.startswith(head) else tokenizer.decode(indices)


def load_dictionary(path: Path) -> Dictionary:
    try:
        return Dictionary.load(str(path))
    except FileNotFoundError:
        what = "written by fairseq-ebm prepare or fairseq-preprocess --only-source"
        raise UserError(f"{path}: no such file; is {path.parent} a folder {what}?") from None
    except Exception as error:  # fairseq raises a bare Exception for a bad line
        raise UserError(f"{path}: not a fairseq dictionary ({error})") from None


def require_same_dictionary(ours: Path, theirs: Path, beginning: str) -> None:
    """Else raises an error that opens with ``beginning`` and names the first differing symbol."""
    our_symbols, their_symbols = (load_dictionary(path).symbols for path in (ours, theirs))
    pairs = zip_longest(our_symbols, their_symbols, fillvalue="nothing")
    for i, (our_symbol, their_symbol) in enumerate(pairs):
        if our_symbol != their_symbol:
            difference = f"symbol {i} is {their_symbol!r} there and {our_symbol!r} here"
            raise UserError(f"{beginning}, which differs from {ours}: {difference}")


def require_known(encoded: Sequence[np.ndarray], dictionary: Dictionary, where: str) -> None:
    """Else raises an error that opens with ``where``: text that is mostly <unk> is in another form
    than the vocabulary, for instance words where that has the ids of pieces."""
    tokens = sum(map(len, encoded))
    unknown = sum(int((text == dictionary.unk()).sum()) for text in encoded)
    if 2 * unknown > tokens:
        raise UserError(
            f"{where}: the vocabulary of the data does not know this text: {unknown:,} of "
            f"{tokens:,} tokens are <unk>; if it is GPT-2's, put {ENCODER_NAME} and {MERGES_NAME} "
            f"beside {DICTIONARY_NAME}, else use text in the symbols of {DICTIONARY_NAME}"
        )


def digest_of(dictionary: Dictionary) -> str:
    """SHA-256 of the symbols in their order, without their counts."""
    return hashlib.sha256("\n".join(dictionary.symbols).encode()).hexdigest()


class SymbolTokenizer:
    """Symbols separated by spaces, as stock ``fairseq-preprocess`` reads them."""

    def __init__(self, dictionary: Dictionary) -> None:
        self.dictionary = dictionary

    def encode(self, texts: Sequence[str]) -> List[np.ndarray]:
        index = self.dictionary.index
        return [np.array([index(s) for s in text.split()], dtype=np.int64) for text in texts]

    def decode(self, indices: Union[Sequence[int], np.ndarray]) -> str:
        eos = self.dictionary.eos()
        text = " ".join("\n" if i == eos else self.dictionary[i] for i in indices)
        return re.sub(" ?\n ?", "\n", text)


class SentencePieceTokenizer:
    """A byte-fallback sentencepiece model: it spells in bytes what its vocabulary lacks.

    ``dictionary`` holds the model's pieces in an order of its own; by default in the model's, which
    serves until the pieces have been counted.
    """

    def __init__(self, model: bytes, dictionary: Union[Dictionary, None] = None) -> None:
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        pieces = [self._processor.id_to_piece(i) for i in range(self._processor.vocab_size())]
        if dictionary is None:
            dictionary = Dictionary()
            for piece in pieces[NUM_SPECIAL:]:
                dictionary.add_symbol(piece)
        self.dictionary = dictionary
        # A piece that the dictionary lacks becomes <unk>, which decodes to the model's <unk>.
        self._index = np.array([dictionary.index(piece) for piece in pieces], dtype=np.int64)
        self._piece = np.full(len(dictionary), self._processor.unk_id(), dtype=np.int64)
        self._piece[self._index] = np.arange(len(pieces))
        self._piece[dictionary.unk()] = self._processor.unk_id()
        self._space_sign = [self._processor.piece_to_id(byte) for byte in SPACE_SIGN_BYTES]

    def encode(self, texts: Sequence[str]) -> List[np.ndarray]:
        encoded = self._processor.encode([t for t in texts if SPACE not in t])
        plain = iter(encoded)
        pieces = (self._encode_space_signs(t) if SPACE in t else next(plain) for t in texts)
        return [self._index[np.array(ids, dtype=np.int64)] for ids in pieces]

    def _encode_space_signs(self, text: str) -> List[int]:
        """For a text that has sentencepiece's own sign for a space, which survives as bytes."""
        encoded, *rest = self._processor.encode(text.split(SPACE))
        for ids in rest:
            encoded = encoded + self._space_sign + ids
        return encoded

    def decode(self, indices: Union[Sequence[int], np.ndarray]) -> str:
        indices = np.asarray(indices, dtype=np.int64)
        lines = np.split(indices, np.flatnonzero(indices == self.dictionary.eos()))
        eos_free = [lines[0], *(line[1:] for line in lines[1:])]
        return "\n".join(self._processor.decode(self._piece[line].tolist()) for line in eos_free)


def train_sentencepiece(texts: Iterable[str], vocab_size: int, share: float = 1.0) -> bytes:
    """A byte-pair model of ``vocab_size`` pieces, including special symbols and the 256 bytes,
    trained on a ``share`` of the text.

    Nothing is normalised and no space is dropped, so text decodes unchanged. Line breaks, control
    characters and spaces other than " " never become part of a piece: fairseq splits at white
    space, and a piece must be one word to it.
    """
    lines, model = _TrainingLines(texts, share), io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, vocab_size=vocab_size, **TRAINING
        )
    except RuntimeError as error:
        if lines.failure is not None:  # sentencepiece turned it into a message
            raise lines.failure from None
        raise UserError(_vocabulary_error(str(error), vocab_size)) from None
    return model.getvalue()


class _TrainingLines:
    """Printable lines of the texts, cut to a length; a hash chooses the ``share`` of them."""

    def __init__(self, texts: Iterable[str], share: float) -> None:
        self.texts, self.share = texts, share
        self.failure: Optional[BaseException] = None  # that stopped the reading, even Ctrl-C

    def __iter__(self) -> Iterator[str]:
        try:
            for text in self.texts:
                printable = "".join(c if c.isprintable() and c != SPACE else "\n" for c in text)
                for line in printable.split("\n"):
                    for start in range(0, len(line), LONGEST_TRAINING_LINE):
                        piece = line[start : start + LONGEST_TRAINING_LINE]
                        if self.share == 1 or zlib.crc32(piece.encode()) < self.share * 2**32:
                            yield piece
        except BaseException as failure:
            self.failure = failure
            raise


def _vocabulary_error(message: str, vocab_size: int) -> str:
    for pattern, problem in PROBLEMS.items():
        if limit := re.search(pattern, message):
            return f"--vocab-size: {vocab_size} symbols are {problem} {limit[1]}"
    if "sentences_.empty()" in message:
        return "--train: no printable character to build a vocabulary from"
    return f"--vocab-size: sentencepiece failed ({message})"
