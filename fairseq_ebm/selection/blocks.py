"""Examples: blocks of prepared text as fairseq's ``language_modeling`` cuts it."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from fairseq import utils
from fairseq.data import BaseWrapperDataset, Dictionary, MonolingualDataset
from fairseq.tasks.language_modeling import LanguageModelingTask
from torch import Tensor

from ..data.identity import token_hash
from ..data.prepare import RECORD_NAME, load_record
from ..data.streams import philox
from ..data.tokenizers import DICTIONARY_NAME, load_dictionary
from ..errors import UserError

Sample = Dict[str, Any]  # a batch of fairseq's

CUT = {"tokens_per_sample": 1024, "sample_break_mode": "none", "shorten_method": "none"}


def load_blocks(data: Path, split: str, cut: Mapping[str, Any]) -> MonolingualDataset:
    """Those of a split of prepared text, cut as the flags of these names say."""
    if not (data / f"{split}.idx").exists():
        raise UserError(f"{data}: has no split {split}")
    others = {"shorten_data_split_list": "", "seed": 1, "dataset_impl": "mmap"}
    others.update(use_plasma_view=False, plasma_path="", pad_to_fixed_length=False)
    others.update(pad_to_fixed_bsz=False, add_bos_token=False)
    options = argparse.Namespace(data=str(data), **_how(cut), **others)
    task = LanguageModelingTask(options, load_dictionary(data / DICTIONARY_NAME))
    task.load_dataset(split)
    return task.datasets[split]


def identity(data: Path, split: str, cut: Mapping[str, Any]) -> Dict[str, Any]:
    """What the examples are: which text, and how it is cut."""
    return {"split": split, "tokens_sha256": token_hash(data, split), **_how(cut)}


def _how(cut: Mapping[str, Any]) -> Dict[str, Any]:
    """In plain words: fairseq's are of an enumeration that cannot be written."""
    how = {name: cut.get(name, default) or default for name, default in CUT.items()}
    return {n: value if isinstance(value, int) else str(value) for n, value in how.items()}


def texts_of(sample: Sample) -> Tensor:
    """The tokens (B, T) of a batch, padded at the end."""
    tokens: Tensor = sample["target"]
    return tokens


def some_of(sample: Sample, rows: Tensor, padding: int) -> Sample:
    """The examples of these ``rows``, no wider than the longest; all of them are ``sample``."""
    if len(rows) == sample["nsentences"]:
        return sample
    width = int(sample["target"][rows].ne(padding).sum(dim=1).max())

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: cut(each) for name, each in value.items()}
        if not isinstance(value, Tensor):
            return value
        return value[rows, :width] if value.dim() > 1 else value[rows]

    chosen: Sample = cut(sample)
    lengths = chosen["net_input"]["src_lengths"]
    return {**chosen, "nsentences": len(rows), "ntokens": int(lengths.sum())}


class InAnyOrder(BaseWrapperDataset):
    """fairseq sorts examples by length: they would only compete with others of their own."""

    def ordered_indices(self) -> np.ndarray:
        return np.random.permutation(len(self))  # seeded by fairseq


class Drawn:
    """Batches of a dataset, drawn at random for an update of a process. Examples of more than
    ``longest`` tokens are left out, as fairseq leaves them out of training."""

    def __init__(self, dataset: MonolingualDataset, size: int, seed: int, longest: int) -> None:
        self._dataset, self._seed = dataset, seed
        self._rows = np.flatnonzero(np.asarray(dataset.sizes) <= longest)
        if not len(self._rows):
            raise UserError(f"--specific: no example of at most {longest} tokens")
        self._size = min(size, len(self._rows))

    def batch(self, update: int, rank: int, device: torch.device, part: int = 0) -> Sample:
        """``part``: which of the batches of an update."""
        generator = philox(self._seed, (rank << 48) + (part << 40) + update)
        rows = generator.choice(self._rows, self._size, replace=False)
        batch: Sample = self._dataset.collater([self._dataset[int(row)] for row in rows])
        return batch if device.type == "cpu" else utils.move_to_cuda(batch, device)


def sources_of(
    data: Path, split: str, dataset: MonolingualDataset
) -> Optional[Tuple[List[str], np.ndarray]]:
    """Where the text of each block begins: names of sources, and for each block which. None if the
    text has but one, or does not say."""
    record = load_record(data) if (data / RECORD_NAME).exists() else None
    counts = record.splits[split].sources if record and split in record.splits else {}
    if len(counts) < 2:
        return None
    stems = [Path(name).stem for name in counts]
    names = stems if len(set(stems)) == len(stems) else list(counts)
    first = np.asarray(dataset.dataset._block_to_dataset_index.array)[:, 0]
    ends = np.cumsum(list(counts.values()))
    return names, np.searchsorted(ends, first, side="right")


def in_words(dictionary: Dictionary, tokenizer: Any, tokens: Tensor) -> str:
    """The text of a block."""
    kept = tokens[tokens != dictionary.pad()]
    return str(tokenizer.decode(kept.numpy()))
