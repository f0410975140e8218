"""Text to a prepared directory: what ``fairseq-preprocess --only-source`` would write, and more.

    dict.txt              the vocabulary, most frequent symbol first
    {split}.bin, .idx     the documents' tokens, each document ended by </s>
    sentencepiece.model   how text becomes tokens; or GPT-2's encoder.json and vocab.bpe, or a
                          Hugging Face tokenizer's tokenizer.json and hugging_face.json, or none,
                          for symbols
    prepare.json          what was done: a PreparedText

Text is read once to learn what is in it, once to make a vocabulary, and once to encode it; the
user's files are never held as a whole.
"""

import dataclasses
import hashlib
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import torch
from fairseq.data import Dictionary, indexed_dataset

from ..errors import UserError
from ..files import sha256_of
from ..options import Record
from ..progress import progress
from ..provenance import versions
from ..records import read_json, require_version, write_json
from . import hugging_face
from .options import SPLITS, VOCAB_SIZE, Prepare
from .sources import TextFiles, built_in_corpus, libraries_of
from .survey import Survey, survey
from .tokenizers import (
    DICTIONARY_NAME,
    MODEL_NAME,
    VOCABULARY_FILES,
    SentencePieceTokenizer,
    SymbolTokenizer,
    Tokenizer,
    load_tokenizer,
    train_sentencepiece,
    vocabulary_hashes,
)
from .whole_folder import whole_folder

RECORD_NAME = "prepare.json"
Splits = Mapping[str, Iterable[str]]
Surveys = Mapping[str, Survey]

KIND, FORMAT_VERSION = "prepared", 2
BATCH_CHARACTERS = 1 << 20  # encoded at once, on all cores
VOCABULARY_CHARACTERS = 50_000_000  # a vocabulary is made of about so much text


@dataclasses.dataclass(frozen=True)
class SplitCounts(Survey):
    """What a split holds. ``tokens`` counts each document's </s>, as fairseq does."""

    tokens: int
    unknown: int  # tokens that are <unk>
    tokens_sha256: str  # of {split}.bin
    altered: int = 0  # documents that a Hugging Face tokenizer does not give back as they were
    sources: Dict[str, int] = dataclasses.field(default_factory=dict)  # documents of each file


@dataclasses.dataclass(frozen=True)
class PreparedText:
    """The record of a prepared directory."""

    kind: str
    format_version: int
    options: Dict[str, Any]
    splits: Dict[str, SplitCounts]
    vocabulary: Dict[str, Any]  # size, and the hashes of its files
    versions: Dict[str, str]


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """How text becomes tokens: sentencepiece of some ``size``, symbols, a copy of other prepared
    text's, or a Hugging Face tokenizer; the last two have a ``source``."""

    kind: str  # "sentencepiece", "symbols", "copy" or "hugging_face"
    size: int = 0
    source: Path = Path()


def prepare_text(options: Prepare) -> Record:
    """Makes what ``options`` ask for; the record is what prepare.json holds."""
    recorded: Record = {}
    splits: Splits
    vocabulary = Vocabulary("sentencepiece", options.vocab_size or VOCAB_SIZE)
    if options.corpus:
        splits = built_in_corpus(options.corpus, options.digits, options.seed)
        recorded["corpus"] = options.corpus
        if options.corpus == "addition":
            recorded.update(options.recorded("digits", "seed"))
            vocabulary = Vocabulary("symbols")
    else:
        splits = {split: TextFiles(paths) for split, paths in options.files.items()}
        recorded.update({split: list(map(str, paths)) for split, paths in options.files.items()})
    if options.vocab_from:
        recorded["vocab_from"] = str(options.vocab_from)
        vocabulary = Vocabulary("copy", source=options.vocab_from)
    elif options.tokenizer:
        recorded["tokenizer"] = str(options.tokenizer)
        vocabulary = Vocabulary("hugging_face", source=options.tokenizer_folder)
    elif vocabulary.kind == "sentencepiece":
        recorded["vocab_size"] = vocabulary.size
    record = prepare(splits, vocabulary, recorded, options.dest)
    return {"dest": str(options.dest), **dataclasses.asdict(record)}


def prepare(splits: Splits, vocabulary: Vocabulary, options: Record, dest: Path) -> PreparedText:
    """Writes ``dest``, whole or not at all. ``splits`` are iterated over several times.

    ``options`` are recorded: if ``dest`` has the same ones, the same text and the same vocabulary,
    it is left as it is.
    """
    dest = dest.resolve()
    exists = dest.exists() and not (dest.is_dir() and not any(dest.iterdir()))
    if exists and not (dest / RECORD_NAME).exists():
        raise UserError(f"--dest: {dest} exists and holds something else; choose another directory")
    if exists:
        return _already_prepared(dest, options, vocabulary, survey(splits))
    with whole_folder(dest) as folder:
        return _write(splits, survey(splits), vocabulary, options, folder)


def _already_prepared(
    dest: Path, options: Record, vocabulary: Vocabulary, surveys: Surveys
) -> PreparedText:
    """The record in ``dest`` if it is what would be written now, else an error."""
    record = load_record(dest)
    before = {split: counts.sha256 for split, counts in record.splits.items()}
    hashes = record.vocabulary["sha256"]
    if _without_paths(record.options) != _without_paths(options):
        what = "prepared with other options"
    elif before != {split: found.sha256 for split, found in surveys.items()}:
        what = "prepared from other text"
    elif vocabulary.kind == "copy" and hashes != vocabulary_hashes(vocabulary.source):
        what = "prepared with another vocabulary"
    elif vocabulary.kind == "hugging_face" and not _is_of(vocabulary.source, dest):
        what = "prepared with another tokenizer"
    elif any(not (dest / f"{s}.{end}").exists() for s in surveys for end in ("bin", "idx")):
        what = "prepared, but files are missing"
    else:
        return record
    raise UserError(f"--dest: {dest} was {what}; choose another directory or delete it")


def _without_paths(options: Record) -> Record:
    """What files are called does not matter; what is in them is compared itself."""
    of_vocabulary = ("vocab_from", "tokenizer")
    return {k: value for k, value in options.items() if k not in (*SPLITS, *of_vocabulary)}


def _is_of(source: Path, dest: Path) -> bool:
    """Whether ``dest`` has the tokenizer of the Hugging Face model in ``source``."""
    original = hugging_face.load_original(source, "--tokenizer")
    kept = {n: (dest / n).read_bytes() for n in hugging_face.NAMES if (dest / n).exists()}
    return original.files() == kept


def load_record(data: Path) -> PreparedText:
    values = read_json(data / RECORD_NAME)
    require_version(values, FORMAT_VERSION, data / RECORD_NAME, "prepare the text again")
    values.setdefault("kind", KIND)  # of before records had kinds
    try:
        splits = {split: SplitCounts(**counts) for split, counts in values.pop("splits").items()}
        return PreparedText(splits=splits, **values)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{data / RECORD_NAME}: altered ({error!r})") from None


def _write(
    splits: Splits, surveys: Surveys, vocabulary: Vocabulary, options: Record, folder: Path
) -> PreparedText:
    tokenizer, is_ordered = _vocabulary(splits, surveys, vocabulary, folder)
    dtype = indexed_dataset.best_fitting_int_dtype(len(tokenizer.dictionary))
    altered = {}
    for split, documents in splits.items():
        documents = progress(documents, f"encoding {split}", surveys[split].documents)
        sha256, altered[split] = _encode(documents, tokenizer, folder / split, dtype)
        if sha256 != surveys[split].sha256:
            raise UserError(f"--{split}: the text changed while it was read; run again")
    dictionary = tokenizer.dictionary
    if not is_ordered:
        dictionary = _order_by_frequency(dictionary, folder, list(splits), dtype)
        dictionary.save(str(folder / DICTIONARY_NAME))

    counts = {}
    for split, surveyed in surveys.items():
        tokens = np.memmap(folder / f"{split}.bin", dtype=dtype, mode="r")
        counts[split] = SplitCounts(
            tokens=tokens.size,
            unknown=sum(int((chunk == dictionary.unk()).sum()) for chunk in _chunks(tokens)),
            tokens_sha256=sha256_of(folder / f"{split}.bin"),
            altered=altered[split],
            sources=dict(getattr(splits[split], "documents", {})),
            **dataclasses.asdict(surveyed),
        )
    found = {"size": len(dictionary), "sha256": vocabulary_hashes(folder)}
    made_by = versions("python", "sentencepiece", *libraries_of(options.get("corpus")))
    record = PreparedText(KIND, FORMAT_VERSION, options, counts, found, made_by)
    write_json(record, folder / RECORD_NAME)
    return record


def _vocabulary(
    splits: Splits, surveys: Surveys, vocabulary: Vocabulary, folder: Path
) -> Tuple[Tokenizer, bool]:
    """The tokenizer, its model written to ``folder``; and whether its dictionary is final."""
    if vocabulary.kind == "sentencepiece":
        documents = progress(splits["train"], "making the vocabulary", surveys["train"].documents)
        share = min(1.0, VOCABULARY_CHARACTERS / max(1, surveys["train"].characters))
        model = train_sentencepiece(documents, vocabulary.size, share)
        (folder / MODEL_NAME).write_bytes(model)
        return SentencePieceTokenizer(model), False
    if vocabulary.kind == "symbols":
        dictionary = Dictionary()
        for symbol in sorted({s for text in splits["train"] for s in text.split()}):
            dictionary.add_symbol(symbol)
        return SymbolTokenizer(dictionary), False
    if vocabulary.kind == "hugging_face":
        original = hugging_face.load_original(vocabulary.source, "--tokenizer")
        for name, content in original.files().items():
            (folder / name).write_bytes(content)
        original.dictionary.save(str(folder / DICTIONARY_NAME))
        return original, True
    tokenizer = load_tokenizer(vocabulary.source)
    for name in VOCABULARY_FILES:
        if (vocabulary.source / name).exists():
            shutil.copyfile(vocabulary.source / name, folder / name)
    return tokenizer, True


def _encode(
    documents: Iterable[str], tokenizer: Tokenizer, prefix: Path, dtype: type
) -> Tuple[str, int]:
    """Writes a split; returns the hash of its text, and how many documents were altered."""
    text_hash, altered = hashlib.sha256(), 0
    may_alter = isinstance(tokenizer, hugging_face.HuggingFaceTokenizer)
    builder = indexed_dataset.MMapIndexedDatasetBuilder(f"{prefix}.bin", dtype=dtype)
    eos = tokenizer.dictionary.eos()
    for batch in _batches(documents):
        text_hash.update("".join(text + "\n" for text in batch).encode("utf-8"))
        for text, indices in zip(batch, tokenizer.encode(batch)):
            builder.add_item(torch.from_numpy(np.append(indices, eos)))
            altered += may_alter and tokenizer.decode(indices) != text
    builder.finalize(f"{prefix}.idx")
    return text_hash.hexdigest(), altered


def _batches(documents: Iterable[str]) -> Iterator[List[str]]:
    batch: List[str] = []
    size = 0
    for text in documents:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARACTERS or len(batch) >= 10_000:
            yield batch
            batch, size = [], 0
    yield batch


def _order_by_frequency(
    dictionary: Dictionary, folder: Path, splits: Collection[str], dtype: type
) -> Dictionary:
    """The dictionary, most frequent in train first; the tokens already written are renumbered."""
    counts = np.zeros(len(dictionary), dtype=np.int64)
    for chunk in _chunks(np.memmap(folder / "train.bin", dtype=dtype, mode="r")):
        counts += np.bincount(chunk, minlength=len(dictionary))
    ordered = Dictionary()
    special = ordered.nspecial
    by_count = np.argsort(-counts[special:], kind="stable") + special
    for old in by_count:
        ordered.add_symbol(dictionary[old], n=int(counts[old]))
    new_index = np.arange(len(dictionary))
    new_index[by_count] = np.arange(special, len(dictionary))
    for split in splits:
        for chunk in _chunks(np.memmap(folder / f"{split}.bin", dtype=dtype, mode="r+")):
            chunk[:] = new_index[chunk]
    return ordered


def _chunks(tokens: np.ndarray, size: int = 1 << 24) -> Iterator[np.ndarray]:
    return (tokens[start : start + size] for start in range(0, len(tokens), size))
