"""Who can tell real text from generated? (The qualification round of the first paper, A.4.)"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import List, Set

from ..errors import UserError
from ..records import read_json
from .votes import Ballot, Key


@dataclass(frozen=True)
class Candidate:
    """``right`` of the page's items: a tie, and what is left open, is not. ``accuracy``: their
    share."""

    rater: str
    right: int
    accuracy: float
    qualified: bool


def qualify(key: Key, ballots: Sequence[Ballot], best: float, above: float) -> List[Candidate]:
    """The ``best`` share of the raters, rounded down, but one at least; whoever equals the last of
    these is one of them. Of these, whose accuracy is higher than ``above``."""
    answers = {item.item: item.answer for item in key.items}
    if None in answers.values():
        raise UserError(
            "page.key.json: the key of comparisons without a known answer; raters qualify on a "
            "page of export --qualification"
        )
    right = [sum(b.choices.get(i) == answer for i, answer in answers.items()) for b in ballots]
    last = sorted(right, reverse=True)[max(1, math.floor(best * len(right))) - 1]
    return [
        Candidate(ballot.rater, n, accuracy, n >= last and accuracy > above)
        for ballot, n in zip(ballots, right)
        for accuracy in [n / len(answers)]
    ]


def read_qualified(path: Path) -> Set[str]:
    """Names, as ``casefold`` has them, of those who qualified."""
    try:
        raters = read_json(path)["raters"]
        return {rater["rater"].casefold() for rater in raters if rater["qualified"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--qualified: {path}: not a report of fairseq-ebm-human-eval qualify: {error!r}"
        ) from None
