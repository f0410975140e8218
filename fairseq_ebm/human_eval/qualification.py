"""Who can tell real text from generated? (The qualification round of the first paper, A.4.)"""

import math
from collections.abc import Sequence
from typing import List, NamedTuple

from ..errors import UserError
from ..options import Record
from .ballots import Ballot, Key, made_by, read_ballots, read_key
from .options import Qualify


class Candidate(NamedTuple):
    """``right`` of the page's items: a tie, and what is left open, is not. ``accuracy``: their
    share."""

    rater: str
    right: int
    accuracy: float
    qualified: bool


def qualification(options: Qualify) -> Record:
    """Of the votes on a qualification page."""
    key = read_key(options.key)
    raters = qualify(key, read_ballots(options.votes, key), options.best, options.above)
    about = {"kind": "qualification", "page": key.page, "num_items": len(key.items)}
    return {
        **about,
        **options.recorded("best", "above"),
        "qualified": sum(rater.qualified for rater in raters),
        "raters": [rater._asdict() for rater in raters],
        "provenance": made_by(options, key),
    }


def qualify(key: Key, ballots: Sequence[Ballot], best: float, above: float) -> List[Candidate]:
    """The ``best`` share of the raters, rounded down, but one at least; whoever equals the last of
    these is one of them. Of these, whose accuracy is higher than ``above``."""
    answers = {item.item: item.answer for item in key.items}
    if None in answers.values():
        problem = "page.key.json: the key of comparisons without a known answer"
        raise UserError(f"{problem}; raters qualify on a page of export --qualification")
    right = [sum(b.choices.get(i) == answer for i, answer in answers.items()) for b in ballots]
    last = sorted(right, reverse=True)[max(1, math.floor(best * len(right))) - 1]
    return [
        Candidate(ballot.rater, n, accuracy, n >= last and accuracy > above)
        for ballot, n in zip(ballots, right)
        for accuracy in [n / len(answers)]
    ]
