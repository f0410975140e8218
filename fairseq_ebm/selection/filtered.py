"""The part of a generic text that has the best scores, as prepared text of its own."""

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq.data import indexed_dataset

from ..data.prepare import RECORD_NAME, SplitCounts, load_record
from ..data.streams import WindowStream
from ..data.tokenizers import load_tokenizer
from ..data.whole_folder import whole_folder
from ..errors import UserError
from ..files import sha256_of
from ..numerics.selection import top, without_replacement
from ..options import Record
from ..progress import progress
from ..records import read_json, write_json
from .blocks import in_words, load_blocks, sources_of
from .options import SelectionFilter
from .scores import NAME, read_scores

KIND = "selection_filter"


def selection_filter(options: SelectionFilter) -> Record:
    """What was kept."""
    data, dest = options.data, options.dest.resolve()
    if not (options.scores / NAME).exists():
        raise UserError(f"--scores: {options.scores}: no scores there (no {NAME})")
    of = read_json(options.scores / NAME)["of"]
    split = str(of["split"])
    values = read_scores(options.scores, data, split, of, "--scores")
    if dest.exists() and any(dest.iterdir()):
        raise UserError(f"--dest: {dest} exists and holds something; choose another directory")
    kept = _kept(options, values)
    with whole_folder(dest) as folder:
        for path in sorted(data.iterdir()):
            if path.is_file() and path.stem != split and path.name != RECORD_NAME:
                shutil.copyfile(path, folder / path.name)
        dataset = load_blocks(data, split, of)
        counts = _write(kept, dataset, load_tokenizer(data), folder / split)
        record = {"kind": KIND, "split": split, "examples": len(values), "kept": len(kept),
                  "tokens": counts.tokens, "least_score": float(values[kept].min()),
                  **options.recorded("keep", "how", "seed"), "of": of,
                  "by": read_json(options.scores / NAME)["by"]}  # fmt: skip
        sources = sources_of(data, split, dataset)
        if sources is not None:
            names, labels = sources
            record["share"] = {n: float((labels[kept] == i).mean()) for i, n in enumerate(names)}
        if (data / RECORD_NAME).exists():  # else fairseq-preprocess has made it
            before = load_record(data)
            splits, how = {**before.splits, split: counts}, {**before.options, "filtered": record}
            after = dataclasses.replace(before, splits=splits, options=how)
            write_json(after, folder / RECORD_NAME)
        write_json(record, folder / "filter.json")
    return {"dest": str(dest), **record}


def _kept(options: SelectionFilter, values: np.ndarray) -> np.ndarray:
    """Rows, ascending."""
    scores, size = torch.from_numpy(np.array(values)), max(1, round(options.keep * len(values)))
    if options.how == "top":
        return top(scores, size).numpy()
    uniforms = WindowStream(options.seed, "all", 0, "selection-filter").uniforms(len(values))
    return without_replacement(scores, size, uniforms).numpy()


def _write(kept: np.ndarray, dataset: Any, tokenizer: Any, prefix: Path) -> SplitCounts:
    """An example is a document."""
    dtype = indexed_dataset.best_fitting_int_dtype(len(dataset.vocab))
    builder = indexed_dataset.MMapIndexedDatasetBuilder(f"{prefix}.bin", dtype=dtype)
    text_hash, tokens, characters, unknown = hashlib.sha256(), 0, 0, 0
    for row in progress(kept.tolist(), "writing"):
        block = dataset[row]["target"]
        builder.add_item(block)
        text = in_words(dataset.vocab, tokenizer, block)
        text = text[:-1] if text.endswith("\n") else text  # the end of the document
        text_hash.update(f"{text}\n".encode())
        tokens, characters = tokens + len(block), characters + len(text)
        unknown += int((block == dataset.vocab.unk()).sum())
    builder.finalize(f"{prefix}.idx")
    return SplitCounts(
        documents=len(kept), characters=characters, also_in_train=0, sha256=text_hash.hexdigest(),
        tokens=tokens, unknown=unknown, tokens_sha256=sha256_of(Path(f"{prefix}.bin")),
    )  # fmt: skip
