"""A Hugging Face tokenizer's own symbols, in its own order, for text that its models read.

Symbol h of the tokenizer is symbol h + 4 of fairseq's dictionary, whose first four are <s>, <pad>,
</s> and <unk>, by its own name; where fairseq could not read that, in the way of JSON, and special
ones behind a backslash and their number. Two symbols are known by fairseq's names, </s>
for the one that ends a text and <unk> for the one in place of what cannot be spelled; their
numbers never occur. Text is only text: what looks like a special symbol in it is spelled.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
from fairseq.data import Dictionary

from ..errors import UserError

TOKENIZER_NAME = "tokenizer.json"  # as its library writes it
SYMBOLS_NAME = "hugging_face.json"  # what some of its symbols are for
NAMES = (TOKENIZER_NAME, SYMBOLS_NAME)
FIRST = 4  # of fairseq's symbols that is one of the tokenizer's
SPACE = "\u2581"  # the sign for a space of sentencepiece, and of those that are like it
REMEDY = "pip install 'fairseq-ebm[hf]'"


@dataclass(frozen=True)
class Symbols:
    """In the tokenizer's numbers: what starts a text, what ends it, and what else is no text."""

    count: int
    start: int
    end: int
    unknown: Optional[int]
    special: Tuple[int, ...]

    @property
    def never(self) -> Tuple[int, ...]:
        """No text has them: they are never drawn."""
        return tuple(sorted({self.start, *self.special} - {self.end, self.unknown}))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Symbols":
        """From what JSON has."""
        return cls(**{**values, "special": tuple(values["special"])})

    def read_as(self, between: Optional[int] = None) -> np.ndarray:
        """(4 + count,): what a model reads in place of each of fairseq's symbols; ``between`` texts
        by default what ends one."""
        unknown = self.end if self.unknown is None else self.unknown
        between = self.end if between is None else between
        return np.array([self.start, self.end, between, unknown, *range(self.count)])

    @property
    def no_text(self) -> List[int]:
        """fairseq's numbers that no text has, its own special ones left out."""
        twins = {number for number in (self.end, self.unknown) if number is not None}
        return sorted(FIRST + number for number in twins.union(self.never))

    def known_as(self) -> np.ndarray:
        """(count,): fairseq's symbol for each of the tokenizer's."""
        indices = np.arange(FIRST, FIRST + self.count)
        indices[self.end] = Dictionary().eos()
        if self.unknown is not None:
            indices[self.unknown] = Dictionary().unk()
        return indices


class HuggingFaceTokenizer:
    """``backend``: a tokenizer of the tokenizers library."""

    def __init__(self, backend: Any, symbols: Symbols, dictionary: Dictionary) -> None:
        self.backend, self.symbols, self.dictionary = backend, symbols, dictionary
        self._known_as, self._read_as = symbols.known_as(), symbols.read_as()
        self._no_text = {symbols.start, symbols.end, *symbols.special} - {symbols.unknown}
        self._has_bytes = bool(self._bytes_of(SPACE))

    def encode(self, texts: Sequence[str]) -> List[np.ndarray]:
        encoded = self.backend.encode_batch(list(texts), add_special_tokens=False)
        found = (self._repaired(text, each.ids) for text, each in zip(texts, encoded))
        return [self._known_as[np.array(ids, dtype=np.int64)] for ids in found]

    def _repaired(self, text: str, ids: List[int]) -> List[int]:
        """Where bytes have symbols: text may have the sign that these tokenizers have for a space,
        or the name of a special symbol, for which some have no other spelling."""
        special = self._no_text.intersection(ids)
        if not self._has_bytes or not (special or SPACE in text):
            return ids
        free = (chr(code) for code in range(0xE000, 0xF900))  # of private use, without symbols
        unused = (c for c in free if c not in text and self.backend.token_to_id(c) is None)
        sign, nothing = next(unused), next(unused)
        for name in map(self.backend.id_to_token, special):
            text = text.replace(name, name[:1] + nothing + name[1:])
        ids = self.backend.encode(text.replace(SPACE, sign), add_special_tokens=False).ids
        ids = _replaced(ids, self._bytes_of(nothing), [])
        return _replaced(ids, self._bytes_of(sign), self._bytes_of(SPACE))

    def difference(self, other: "HuggingFaceTokenizer") -> Optional[str]:
        """The first in which ``other`` is not as this one, in words: there and here."""
        for each in fields(Symbols):
            here, there = (getattr(of.symbols, each.name) for of in (self, other))
            if here != there:
                return f"{each.name} {there} there and {here} here"
        for number in range(self.symbols.count):
            here, there = (of.backend.id_to_token(number) for of in (self, other))
            if here != there:
                return f"symbol {number} is {there!r} there and {here!r} here"
        return None

    def _bytes_of(self, character: str) -> List[int]:
        """The symbols of its bytes, or none, if bytes have no symbols of their own."""
        names = (f"<0x{byte:02X}>" for byte in character.encode())
        symbols = [self.backend.token_to_id(name) for name in names]
        return [] if None in symbols else symbols

    def decode(self, indices: Union[Sequence[int], np.ndarray]) -> str:
        indices = np.asarray(indices, dtype=np.int64)
        lines = np.split(indices, np.flatnonzero(indices == self.dictionary.eos()))
        said = [lines[0], *(line[1:] for line in lines[1:])]
        texts = (self._read_as[line[line >= self.dictionary.unk()]].tolist() for line in said)
        return "\n".join(self.backend.decode(text, skip_special_tokens=False) for text in texts)

    def files(self) -> Dict[str, bytes]:
        """What prepared text keeps of it: contents by name."""
        symbols = json.dumps(asdict(self.symbols), indent=1) + "\n"
        return {TOKENIZER_NAME: self.backend.to_str().encode(), SYMBOLS_NAME: symbols.encode()}


def _replaced(ids: List[int], before: List[int], after: List[int]) -> List[int]:
    result: List[int] = []
    i = 0
    while i < len(ids):
        found = ids[i : i + len(before)] == before
        result += after if found else ids[i : i + 1]
        i += len(before) if found else 1
    return result


def dictionary_of(backend: Any, symbols: Symbols) -> Dictionary:
    dictionary, special = Dictionary(), {symbols.end, symbols.unknown, *symbols.special}
    for number in range(symbols.count):
        name = _readable(backend.id_to_token(number) or "")
        dictionary.add_symbol(f"\\{number}{name}" if number in special or not name else name)
    return dictionary


def _readable(name: str) -> str:
    """Without white space, which fairseq splits at, and otherwise as it is."""
    escaped = (json.dumps(c)[1:-1] if c == "\\" or not c.isprintable() else c for c in name)
    return "".join("\\u0020" if c == " " else c for c in escaped)


def load_prepared(data: Path, dictionary: Dictionary) -> HuggingFaceTokenizer:
    """That of prepared text, which needs no more than the tokenizers library."""
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 an extra
    except ImportError:
        raise UserError(f"{data}: has a Hugging Face tokenizer; {REMEDY}") from None
    for name in NAMES:
        if not (data / name).exists():
            both = f"{TOKENIZER_NAME} and {SYMBOLS_NAME} go together"
            raise UserError(f"{data / name}: no such file; {both}")
    try:
        backend = Tokenizer.from_file(str(data / TOKENIZER_NAME))
        symbols = Symbols.of(json.loads((data / SYMBOLS_NAME).read_text(encoding="utf-8")))
    except Exception as error:  # the library raises a bare one
        raise UserError(f"{data}: not a Hugging Face tokenizer ({error}); copy it again") from None
    if len(dictionary) != FIRST + symbols.count:
        sizes = f"{symbols.count} symbols, and its dictionary {len(dictionary) - FIRST}"
        raise UserError(f"{data}: the tokenizer has {sizes}: they do not belong together")
    return HuggingFaceTokenizer(_plain(backend), symbols, dictionary)


def from_parts(tokenizer: str, symbols: Mapping[str, Any]) -> HuggingFaceTokenizer:
    """From what ``files`` gives: the text of the one, the values of the other."""
    from tokenizers import Tokenizer  # noqa: PLC0415 an extra

    known, backend = Symbols.of(symbols), _plain(Tokenizer.from_str(tokenizer))
    return HuggingFaceTokenizer(backend, known, dictionary_of(backend, known))


def load_original(folder: Path, flag: str) -> HuggingFaceTokenizer:
    """That of a model's folder. Nothing is fetched, and no code that comes along is run."""
    transformers = import_transformers(flag)
    if not folder.is_dir():
        raise UserError(f"{flag}: {folder}: no such folder")
    try:
        found = transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_fast=True
        )
    except Exception as error:  # whatever transformers raises
        raise UserError(f"{flag}: {folder}: no tokenizer ({first_line(error)})") from None
    return of_transformers(found, folder, flag)


def of_transformers(found: Any, folder: Path, flag: str) -> HuggingFaceTokenizer:
    """``found``: a tokenizer of transformers, from ``folder``."""
    if not found.is_fast:
        problem = f"a {type(found).__name__} has no {TOKENIZER_NAME}, and none can be made of it"
        raise UserError(f"{flag}: {folder}: {problem}")
    ends = [i for i in (found.eos_token_id, found.sep_token_id) if i is not None]
    if not ends:
        problem = "the tokenizer has no symbol that ends a text (eos_token)"
        raise UserError(f"{flag}: {folder}: {problem}")
    begins = [i for i in (found.bos_token_id, found.cls_token_id, ends[0]) if i is not None]
    backend = _plain(_as_written(found.backend_tokenizer))
    count = 1 + max(backend.get_vocab(with_added_tokens=True).values())
    unused = {number for number in range(count) if backend.id_to_token(number) is None}
    reserved = {number for number, each in found.added_tokens_decoder.items() if each.special}
    special = tuple(sorted(unused.union(found.all_special_ids, reserved)))
    symbols = Symbols(count, begins[0], ends[0], _unknown(found), special)
    return HuggingFaceTokenizer(backend, symbols, dictionary_of(backend, symbols))


def _unknown(found: Any) -> Optional[int]:
    """GPT-2's is the end of a text, which no text is spelled with."""
    unknown: Optional[int] = found.unk_token_id
    return None if unknown in (found.eos_token_id, found.bos_token_id) else unknown


def _as_written(backend: Any) -> Any:
    """Without composing characters and their accents (NFC, as Qwen's does): text comes back as it
    was, and has symbols for both. What else a tokenizer changes, its model needs."""
    spec = json.loads(backend.to_str())
    normalizer = spec["normalizer"] or {}
    steps = normalizer.get("normalizers", [normalizer])
    kept = [step for step in steps if step.get("type") != "NFC"]
    if len(kept) == len(steps):
        return backend
    spec["normalizer"] = {"type": "Sequence", "normalizers": kept} if kept else None
    return type(backend).from_str(json.dumps(spec))


def _plain(backend: Any) -> Any:
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True  # "<s>" in a text is these three characters
    return backend


def import_transformers(flag: str) -> Any:
    _leave_out_a_broken_torchaudio()
    try:
        import transformers  # noqa: PLC0415 an extra, and slow to import
    except ImportError:
        raise UserError(f"{flag}: transformers is not installed; {REMEDY}") from None
    transformers.logging.set_verbosity_error()  # we tell what happens ourselves
    transformers.logging.disable_progress_bar()
    return transformers


def _leave_out_a_broken_torchaudio() -> None:
    """transformers loads it from version 5 on, if it is there; fairseq brings one along, which does
    not load beside a torch for CPUs."""
    try:
        is_old = int(version("transformers").partition(".")[0]) < 5
    except PackageNotFoundError:
        return
    if is_old or "torchaudio" in sys.modules:
        return
    try:
        import torchaudio  # noqa: F401, PLC0415
    except ImportError:
        pass
    except OSError:
        sys.modules["torchaudio"] = None  # type: ignore[assignment]


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
