"""Whose continuations do people prefer? (Table 2 of the first paper.)

Wins, ties and losses of the first system of a pair become s successes in n trials, by the rule for
ties; p = P(X >= s) for X ~ Binomial(n, 1/2): so many or more, if both were equally good.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Container, Dict, List, Optional, Tuple

from scipy.stats import binomtest

from ..errors import UserError
from ..records import read_json

FORMAT_VERSION = 1  # of key and votes
FOUR = 4  # items from 1, from 5 and so on: one is a check, and stands for the answers to all
CHOICES = ("a", "b", "tie")
# What a tie adds to the successes, and to the trials.
TIES = {"half": (0.5, 1), "drop": (0.0, 0), "against": (0.0, 1), "for": (1.0, 1)}


@dataclass(frozen=True)
class Item:
    """What stands behind the texts A and B of a page's item, counted from 1.

    ``answer``: what must be chosen, "a" or "b", where that is known, as in a check; else None.
    """

    item: int
    prompt: int
    a: str
    b: str
    answer: Optional[str] = None

    @property
    def four(self) -> int:
        return (self.item - 1) // FOUR


@dataclass(frozen=True)
class Key:
    """``provenance``: what made the page."""

    page: str
    pairs: List[Tuple[str, str]]
    items: List[Item]
    provenance: Dict[str, Any]


@dataclass(frozen=True)
class Ballot:
    """``choices``: item -> "a", "b" or "tie". Not all items need an answer."""

    rater: str
    choices: Mapping[int, str]


@dataclass(frozen=True)
class Rater:
    """``votes`` on comparisons, and how many of them were ``dropped``; ``checks`` of the fours that
    were begun, and how many of them were ``failed``. ``qualified``: None where nobody asks."""

    rater: str
    votes: int
    dropped: int
    checks: int
    failed: int
    qualified: Optional[bool]
    kept: bool


def read_key(path: Path) -> Key:
    content = read_json(path)
    try:
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {content['format_version']}")
        pairs = [(str(first), str(second)) for first, second in content["pairs"]]
        items = [Item(**item) for item in content["items"]]
        return Key(str(content["page"]), pairs, items, content["provenance"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not a key, as fairseq-ebm-human-eval export writes it beside a page: "
            f"{error!r}"
        ) from None


def read_ballots(paths: Sequence[Path], key: Key) -> List[Ballot]:
    found: Dict[str, Tuple[Path, Ballot]] = {}
    for path in paths:
        ballot = read_ballot(path, key)
        name = ballot.rater.casefold()
        if name in found:
            raise UserError(
                f"{path}: votes of {ballot.rater!r}, whose votes are in {found[name][0]} too; give "
                "one file of each rater, each with a name of its own"
            )
        found[name] = path, ballot
    return [ballot for _, ballot in found.values()]


def read_ballot(path: Path, key: Key) -> Ballot:
    content = read_json(path)
    try:
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {content['format_version']}")
        name, rater = content["page"], content["rater"].strip()
        votes = [(vote["item"], vote["choice"]) for vote in content["votes"]]
        if not rater:
            raise ValueError("no name of the rater")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not the votes that a page gives at its end: {error!r}") from None
    if name != key.page:
        raise UserError(
            f"{path}: votes on the page {name}, but the key is that of {key.page}; give the key "
            "that was written beside their page"
        )
    known = {item.item for item in key.items}
    choices: Dict[int, str] = {}
    for item, choice in votes:
        if type(item) is not int or item not in known or choice not in CHOICES:
            raise UserError(f"{path}: item {item!r}: {choice!r} is no vote on this page")
        if item in choices:
            raise UserError(f"{path}: item {item} has two votes")
        choices[item] = choice
    return Ballot(rater, choices)


def report(
    key: Key,
    ballots: Sequence[Ballot],
    ties: str,
    max_failed: Optional[int] = None,
    qualified: Optional[Container[str]] = None,
) -> Dict[str, Any]:
    """``preferences``: for each pair, of all ``votes``, as if they were independent; and of
    ``items``, where each counts once, for the system with more votes."""
    comparisons = [item for item in key.items if item.answer is None]
    if not comparisons:
        raise UserError(
            "page.key.json: the key of a qualification page, which holds no comparisons; "
            "fairseq-ebm-human-eval qualify counts its votes"
        )
    raters = [rated(ballot, key.items, max_failed, qualified) for ballot in ballots]
    kept = [passed(ballot, key.items) for ballot, rater in zip(ballots, raters) if rater.kept]
    rows: List[Dict[str, Any]] = []
    for first, second in key.pairs:
        votes = [outcomes(item, first, second, kept) for item in comparisons]
        rows.append(
            {
                "first": first,
                "second": second,
                "votes": preference((vote for each in votes for vote in each), ties),
                "items": preference((majority(each) for each in votes if each), ties),
            }
        )
    return {
        "ties": ties,
        "max_failed_checks": max_failed,
        "raters_kept": len(kept),
        "raters_dropped": len(ballots) - len(kept),
        "raters": [asdict(rater) for rater in raters],
        "preferences": rows,
    }


def checked(ballot: Ballot, items: Sequence[Item]) -> Dict[int, bool]:
    """Whether the check of each four that was begun was passed: not by a tie, nor by no answer."""
    begun = {item.four for item in items if item.item in ballot.choices}
    checks = [item for item in items if item.answer is not None and item.four in begun]
    return {item.four: ballot.choices.get(item.item) == item.answer for item in checks}


def passed(ballot: Ballot, items: Sequence[Item]) -> Ballot:
    """What counts: the answers to fours whose check was not failed."""
    found = checked(ballot, items)
    counts = {item.item for item in items if found.get(item.four, True)}
    return Ballot(ballot.rater, {i: choice for i, choice in ballot.choices.items() if i in counts})


def rated(
    ballot: Ballot,
    items: Sequence[Item],
    max_failed: Optional[int] = None,
    qualified: Optional[Container[str]] = None,
) -> Rater:
    """``qualified``: names as ``casefold`` has them."""
    found = list(checked(ballot, items).values())
    failed = found.count(False)
    known = None if qualified is None else ballot.rater.casefold() in qualified
    kept = known is not False and (max_failed is None or failed <= max_failed)
    comparisons = {item.item for item in items if item.answer is None}
    votes = len(comparisons & ballot.choices.keys())
    counted = len(comparisons & passed(ballot, items).choices.keys()) if kept else 0
    return Rater(ballot.rater, votes, votes - counted, len(found), failed, known, kept)


def outcomes(item: Item, first: str, second: str, ballots: Sequence[Ballot]) -> List[int]:
    """1: the first was preferred, -1: the second, 0: a tie. Of other pairs and of checks: none."""
    if {item.a, item.b} != {first, second}:
        return []
    sign = 1 if item.a == first else -1
    value = {"a": sign, "b": -sign, "tie": 0}
    chosen = (ballot.choices.get(item.item) for ballot in ballots)
    return [value[choice] for choice in chosen if choice is not None]


def majority(votes: Sequence[int]) -> int:
    total = sum(votes)
    return (total > 0) - (total < 0)


def preference(votes: Iterable[int], ties: str) -> Dict[str, Any]:
    """The share of successes, its 95% interval (Clopper and Pearson's) and p; null if nothing is
    left to count. Where half a tie remains over, interval and p are those of the side that claims
    less."""
    counts = Counter(votes)
    of_tie, trials_of_tie = TIES[ties]
    successes = counts[1] + of_tie * counts[0]
    trials = counts[1] + counts[-1] + trials_of_tie * counts[0]
    found: Dict[str, Any] = {"wins": counts[1], "ties": counts[0], "losses": counts[-1]}
    if not trials:
        return {**found, "preference": None, "preference_ci95": None, "p_value": None}
    least, most = math.floor(successes), math.ceil(successes)
    low = binomtest(least, trials).proportion_ci(0.95).low
    high = binomtest(most, trials).proportion_ci(0.95).high
    return {
        **found,
        "preference": successes / trials,
        "preference_ci95": [float(low), float(high)],
        "p_value": float(binomtest(least, trials, alternative="greater").pvalue),
    }
