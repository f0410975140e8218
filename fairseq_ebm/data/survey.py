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
    also_in_train: int
    sha256: str


def survey(splits: Mapping[str, Iterable[str]]) -> Dict[str, Survey]:
    """Counts every split; refuses one without text. Held-out splits are read first."""
    held_out: Dict[str, Set[int]] = {split: set() for split in splits if split != "train"}
    surveys = {}
    in_train: Dict[str, int] = dict.fromkeys(held_out, 0)
    for split in sorted(splits, key=lambda s: s == "train"):
        documents = characters = 0
        has_text = False
        text_hash = hashlib.sha256()
        also_held_out: Set[int] = set()
        for text in progress(splits[split], f"reading {split}"):
            documents += 1
            characters += len(text)
            has_text = has_text or (not text.isspace() and text != "")
            text_hash.update(text.encode("utf-8") + b"\n")
            digest = text_digest(text)
            if not text:
                continue
            if split != "train":
                held_out[split].add(digest)
            elif any(digest in digests for digests in held_out.values()):
                also_held_out.add(digest)
        if not has_text:
            name = getattr(splits[split], "name", "it")
            raise UserError(f"--{split}: there is no text in {name}")
        if split == "train":
            in_train = {name: len(digests & also_held_out) for name, digests in held_out.items()}
        surveys[split] = Survey(documents, characters, 0, text_hash.hexdigest())
    return {
        split: dataclasses.replace(surveys[split], also_in_train=in_train.get(split, 0))
        for split in splits
    }
