"""The key of a page, and what raters sent back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple, Union

from ..errors import UserError
from ..files import sha256_of
from ..options import Record
from ..provenance import versions
from ..records import read_json
from .options import FOUR, Count, Qualify

FORMAT_VERSION = 1  # of key and votes
CHOICES = ("a", "b", "tie")


class Item(NamedTuple):
    """What stands behind the texts A and B of a page's item, counted from 1.

    ``answer``: what must be chosen, "a" or "b", where that is known, as in a check; else None."""

    item: int
    prompt: int
    a: str
    b: str
    answer: Optional[str] = None

    @property
    def four(self) -> int:
        return (self.item - 1) // FOUR


class Key(NamedTuple):
    """``provenance``: what made the page."""

    page: str
    pairs: List[Tuple[str, str]]
    items: List[Item]
    provenance: Dict[str, Any]


class Ballot(NamedTuple):
    """``choices``: item -> "a", "b" or "tie". Not all items need an answer."""

    rater: str
    choices: Mapping[int, str]


@contextmanager
def _reading(what: str, content: Record, has_version: bool = True) -> Iterator[None]:
    """Whatever is not as we write it makes the file another than was asked for."""
    try:
        if has_version and content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {content['format_version']}")
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{what}: {error!r}") from None


def read_key(path: Path) -> Key:
    content = read_json(path)
    ours = f"{path}: not a key, as fairseq-ebm human-eval export writes it beside a page"
    with _reading(ours, content):
        pairs = [(str(first), str(second)) for first, second in content["pairs"]]
        items = [Item(**item) for item in content["items"]]
        return Key(str(content["page"]), pairs, items, content["provenance"])


def read_ballots(paths: Sequence[Path], key: Key) -> List[Ballot]:
    found: Dict[str, Tuple[Path, Ballot]] = {}
    for path in paths:
        ballot = read_ballot(path, key)
        name = ballot.rater.casefold()
        if name in found:
            problem = f"votes of {ballot.rater!r}, whose votes are in {found[name][0]} too"
            remedy = "give one file of each rater, each with a name of its own"
            raise UserError(f"{path}: {problem}; {remedy}")
        found[name] = path, ballot
    return [ballot for _, ballot in found.values()]


def read_ballot(path: Path, key: Key) -> Ballot:
    content = read_json(path)
    with _reading(f"{path}: not the votes that a page gives at its end", content):
        name, rater = content["page"], content["rater"].strip()
        votes = [(vote["item"], vote["choice"]) for vote in content["votes"]]
        if not rater:
            raise ValueError("no name of the rater")
    if name != key.page:
        problem = f"{path}: votes on the page {name}, but the key is that of {key.page}"
        raise UserError(f"{problem}; give the key that was written beside their page")
    known = {item.item for item in key.items}
    choices: Dict[int, str] = {}
    for item, choice in votes:
        if type(item) is not int or item not in known or choice not in CHOICES:
            raise UserError(f"{path}: item {item!r}: {choice!r} is no vote on this page")
        if item in choices:
            raise UserError(f"{path}: item {item} has two votes")
        choices[item] = choice
    return Ballot(rater, choices)


def read_qualified(path: Path) -> Set[str]:
    """Names, as ``casefold`` has them, of those who qualified."""
    content, verb = read_json(path), "fairseq-ebm human-eval qualify"
    with _reading(f"--qualified: {path}: not a report of {verb}", content, has_version=False):
        return {rater["rater"].casefold() for rater in content["raters"] if rater["qualified"]}


def made_by(options: Union[Count, Qualify], key: Key) -> Record:
    read = {"key": sha256_of(options.key), "votes": [sha256_of(path) for path in options.votes]}
    return {**read, "page": key.provenance, "versions": versions("scipy")}
