"""Counts what is in the text, once, before anything is written."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from typing import Dict, Set

from ..errors import UserError
from ..progress import progress
from .sources import text_digest


@dataclasses.dataclass(frozen=True)
class Survey:
    documents: int
    characters: int
    also_in_train: int  # distinct documents, of valid and test, that stand in train as well
    sha256: str  # of the documents' text, each followed by a line feed


def survey(splits: Mapping[str, Iterable[str]]) -> Dict[str, Survey]:
    """Counts every split; refuses one without text. Held-out splits are read first."""
    held_out: Dict[str, Set[int]] = {split: set() for split in splits if split != "train"}
    in_train: Set[int] = set()  # of those
    surveys = {}
    for split in sorted(splits, key=lambda s: s == "train"):
        documents = characters = 0
        has_text = False
        text_hash = hashlib.sha256()
        for text in progress(splits[split], f"reading {split}"):
            documents += 1
            characters += len(text)
            has_text = has_text or not (text.isspace() or text == "")
            text_hash.update(text.encode("utf-8") + b"\n")
            digest = text_digest(text)
            if text and split != "train":
                held_out[split].add(digest)
            elif text and any(digest in digests for digests in held_out.values()):
                in_train.add(digest)
        if not has_text:
            name = getattr(splits[split], "name", "it")
            raise UserError(f"--{split}: there is no text in {name}")
        surveys[split] = Survey(documents, characters, 0, text_hash.hexdigest())
    return {
        split: dataclasses.replace(
            surveys[split], also_in_train=len(in_train.intersection(held_out.get(split, ())))
        )
        for split in splits
    }
