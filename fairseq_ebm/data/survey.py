"""What is in the text: counted once, before anything is written."""

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
    """Counts every split; refuses one without text. Held-out splits come first."""
    held_out: Dict[str, Set[int]] = {split: set() for split in splits if split != "train"}
    surveys = {}
    found: Dict[str, int] = dict.fromkeys(held_out, 0)
    for split in sorted(splits, key=lambda s: s == "train"):
        documents = characters = 0
        anything = False
        text_hash = hashlib.sha256()
        seen: Set[int] = set()
        for text in progress(splits[split], f"reading {split}"):
            documents += 1
            characters += len(text)
            anything = anything or (not text.isspace() and text != "")
            text_hash.update(text.encode("utf-8") + b"\n")
            digest = text_digest(text)
            if not text:
                continue
            if split != "train":
                held_out[split].add(digest)
            elif any(digest in others for others in held_out.values()):
                seen.add(digest)
        if not anything:
            name = getattr(splits[split], "name", "it")
            raise UserError(f"--{split}: there is no text in {name}")
        if split == "train":
            found = {name: len(digests & seen) for name, digests in held_out.items()}
        surveys[split] = Survey(documents, characters, 0, text_hash.hexdigest())
    return {
        split: dataclasses.replace(surveys[split], also_in_train=found.get(split, 0))
        for split in splits
    }
