"""Whose continuations do people prefer? (Table 2 of the first paper.)

Wins, ties and losses of the first system of a pair become s successes in n trials, by the rule for
ties; p = P(X >= s) for X ~ Binomial(n, 1/2): so many or more, if both were equally good."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Container, Dict, List, NamedTuple, Optional

from scipy.stats import binomtest

from ..errors import UserError
from ..options import Record
from .ballots import Ballot, Item, Key, made_by, read_ballots, read_key, read_qualified
from .options import TIES, Count

Most = Optional[int]  # checks that a rater may fail; None: all
Items = Sequence[Item]
Names = Optional[Container[str]]  # of those who qualified, as ``casefold`` has them; None: all


class Rater(NamedTuple):
    """``votes`` on comparisons, and how many of them were ``dropped``; ``checks`` of the fours that
    were begun, and how many of them were ``failed``. ``qualified``: None where nobody asks."""

    rater: str
    votes: int
    dropped: int
    checks: int
    failed: int
    qualified: Optional[bool]
    kept: bool


def count(options: Count) -> Record:
    """The votes on a page of comparisons."""
    key = read_key(options.key)
    names = read_qualified(options.qualified) if options.qualified else None
    ballots = read_ballots(options.votes, key)
    counted = report(key, ballots, options.ties, options.max_failed_checks, names)
    made = made_by(options, key)
    return {"kind": "preferences", "page": key.page, **counted, "provenance": made}


def report(
    key: Key, ballots: Sequence[Ballot], ties: str, most: Most = None, qualified: Names = None
) -> Record:
    """``preferences``: for each pair, of all ``votes``, as if they were independent; and of
    ``items``, where each counts once, for the system with more votes."""
    comparisons = [item for item in key.items if item.answer is None]
    if not comparisons:
        problem = "page.key.json: the key of a qualification page, which holds no comparisons"
        raise UserError(f"{problem}; fairseq-ebm human-eval qualify counts its votes")
    raters = [rated(ballot, key.items, most, qualified) for ballot in ballots]
    kept = [passed(ballot, key.items) for ballot, rater in zip(ballots, raters) if rater.kept]
    rows: List[Record] = []
    for first, second in key.pairs:
        votes = [outcomes(item, first, second, kept) for item in comparisons]
        of_votes = preference(chain.from_iterable(votes), ties)
        of_items = preference(map(majority, filter(None, votes)), ties)
        rows.append({"first": first, "second": second, "votes": of_votes, "items": of_items})
    asked = {"ties": ties, "max_failed_checks": most}
    counts = {"raters_kept": len(kept), "raters_dropped": len(ballots) - len(kept)}
    people = [rater._asdict() for rater in raters]
    return {**asked, **counts, "raters": people, "preferences": rows}


def checked(ballot: Ballot, items: Items) -> Dict[int, bool]:
    """Whether the check of each four that was begun was passed: not by a tie, nor by no answer."""
    begun = {item.four for item in items if item.item in ballot.choices}
    checks = [item for item in items if item.answer is not None and item.four in begun]
    return {item.four: ballot.choices.get(item.item) == item.answer for item in checks}


def passed(ballot: Ballot, items: Items) -> Ballot:
    """What counts: the answers to fours whose check was not failed."""
    found = checked(ballot, items)
    counts = {item.item for item in items if found.get(item.four, True)}
    return Ballot(ballot.rater, {i: choice for i, choice in ballot.choices.items() if i in counts})


def rated(ballot: Ballot, items: Items, most: Most = None, qualified: Names = None) -> Rater:
    found = list(checked(ballot, items).values())
    failed = found.count(False)
    known = None if qualified is None else ballot.rater.casefold() in qualified
    kept = known is not False and (most is None or failed <= most)
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


def preference(votes: Iterable[int], ties: str) -> Record:
    """The share of successes, its 95% interval (Clopper and Pearson's) and p; null if nothing is
    left to count. Where half a tie remains over, interval and p are those of the side that claims
    less."""
    counts = Counter(votes)
    of_tie, trials_of_tie = TIES[ties]
    successes = counts[1] + of_tie * counts[0]
    trials = counts[1] + counts[-1] + trials_of_tie * counts[0]
    found: Record = {"wins": counts[1], "ties": counts[0], "losses": counts[-1]}
    if not trials:
        return {**found, "preference": None, "preference_ci95": None, "p_value": None}
    least, most = math.floor(successes), math.ceil(successes)
    low = binomtest(least, trials).proportion_ci(0.95).low
    high = binomtest(most, trials).proportion_ci(0.95).high
    interval = [float(low), float(high)]
    p = float(binomtest(least, trials, alternative="greater").pvalue)
    return {**found, "preference": successes / trials, "preference_ci95": interval, "p_value": p}
