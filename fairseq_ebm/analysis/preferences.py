"""Whose continuations do people prefer? (Table 2 of the first paper.)

Wins, ties and losses of the first system of a pair become s successes in n trials, by the rule for
ties; p = P(X >= s) for X ~ Binomial(n, 1/2): so many or more, if both were equally good.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from scipy.stats import binomtest

from ..errors import UserError
from ..records import read_json

FORMAT_VERSION = 1  # of key and votes
CHOICES = ("a", "b", "tie")
# What a tie adds to the successes, and to the trials.
TIES = {"half": (0.5, 1), "drop": (0.0, 0), "against": (0.0, 1), "for": (1.0, 1)}


@dataclass(frozen=True)
class Item:
    """What stands behind the texts A and B of a page's item, counted from 1.

    ``answer``: what must be chosen, "a" or "b", in an attention check; None in a comparison.
    """

    item: int
    prompt: int
    a: str
    b: str
    answer: Optional[str] = None


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
    """``votes`` on comparisons, ``checks`` that were answered, and how many of these wrongly."""

    rater: str
    votes: int
    checks: int
    failed: int
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


def report(key: Key, ballots: Sequence[Ballot], ties: str, max_failed: int) -> Dict[str, Any]:
    """``preferences``: for each pair, of all ``votes``, as if they were independent; and of
    ``items``, where each counts once, for the system with more votes."""
    raters = [rated(ballot, key.items, max_failed) for ballot in ballots]
    kept = [ballot for ballot, rater in zip(ballots, raters) if rater.kept]
    rows: List[Dict[str, Any]] = []
    for first, second in key.pairs:
        votes = [outcomes(item, first, second, kept) for item in key.items]
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


def rated(ballot: Ballot, items: Sequence[Item], max_failed: int) -> Rater:
    """A tie fails a check. Who answered none has not shown that the texts were read."""
    answers = {item.item: item.answer for item in items if item.answer is not None}
    checks = [answers[item] == chosen for item, chosen in ballot.choices.items() if item in answers]
    failed = checks.count(False)
    kept = bool(checks) and failed <= max_failed
    return Rater(ballot.rater, len(ballot.choices) - len(checks), len(checks), failed, kept)


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
