"""What the verbs of ``fairseq-ebm human-eval`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Tuple

from .. import options
from ..errors import OptionError
from ..options import REQUIRED, Quiet, Reporting, Seeded, choice, file, flag, share, text, whole

FOUR = 4  # items from 1, from 5 and so on: one is a check, and stands for the answers to all
# What a tie adds to the successes, and to the trials.
TIES = {"half": (0.5, 1), "drop": (0.0, 0), "against": (0.0, 1), "for": (1.0, 1)}

Pair = Tuple[str, str]


def read_pair(value: Any) -> Pair:
    names = tuple(value.split(",") if isinstance(value, str) else value)
    if len(names) != 2 or names[0] == names[1] or not all(names):
        raise ValueError(f"'{value}' is not two different names with a comma")
    return names


@dataclass(frozen=True)
class Export(Quiet, Seeded):
    """Writes a page on which people compare continuations in a browser, without a network, and
    beside it its key. Of every four items one is a check, whose answer is known: real text goes
    on better than a model's. With --qualification every item is one.

      fairseq-ebm human-eval export POOLS.jsonl --qualification --dest first.html
      fairseq-ebm human-eval export POOLS.jsonl --pair joint,base --num-items 444 --dest page.html
      fairseq-ebm human-eval export big=BIG.jsonl small=SMALL.jsonl --pair big.base,small.joint …

    Send the page to the raters and keep its key. Each rater opens the page, answers, and sends
    back the file that it gives at the end.
    """

    makes = "generated text -> a page on which people compare it"
    work = "human_eval.export:export"
    needs_fairseq = False

    pools: Tuple[str, ...] = text(
        REQUIRED,
        "from fairseq-generate --joint-results-path; shards together. Names tell models apart",
        "[NAME=]POOLS.jsonl", argument=True, many=True,
    )  # fmt: skip
    pair: Tuple[Pair, ...] = options.option(
        read_pair, (),
        "two of joint, base and real, or of NAME.joint and so on; again for each further pair, "
        "which shares the items (default: joint,base; with --qualification real,base)",
        "FIRST,SECOND", many=True, repeated=True,
    )  # fmt: skip
    dest: Path = file(REQUIRED, "the page to write", "page.html")
    num_items: int = whole(48, "items on the page, checks among them", FOUR)
    check_against: Optional[str] = text(
        None,
        "what real text is compared with in checks: one of the systems, or shuffled, its own words "
        "in another order (default: the second of the first pair)",
    )
    qualification: bool = flag("every item is a check: real text against others")
    bold_words: int = whole(15, "make so many last words of the context bold")
    title: str = text("Which text goes on better?", "title of the page", "TEXT")

    def check(self) -> None:
        super().check()
        if self.qualification and self.check_against:
            raise OptionError("{check_against}: {qualification} asks about nothing else; drop one")


@dataclass(frozen=True)
class Votes(Reporting):
    needs_fairseq = False

    key: Path = file(REQUIRED, "what export wrote beside the page", "page.key.json", argument=True)
    votes: Tuple[Path, ...] = file(
        REQUIRED, "a file of each rater", "VOTES.json", argument=True, many=True
    )


@dataclass(frozen=True)
class Qualify(Votes):
    """How often raters tell real text from generated on a page of export --qualification, and who
    is asked further: as in the first paper the better half, those who are right in more than two
    of three.

      fairseq-ebm human-eval qualify first.key.json ann.json bob.json --results-path RATERS.json
    """

    makes = "votes -> who can tell real text from generated"
    work = "human_eval.qualification:qualification"

    best: float = share(0.5, "share of the raters that qualifies; equal ones do together", group="")
    above: float = share(2 / 3, "share of items that must be right, and more (default: 2/3)")


@dataclass(frozen=True)
class Count(Votes):
    """Drops the answers to every four items whose check was failed, and counts the others.
    Preferences are of the first of each pair, p is one-sided: of all votes, taken as
    independent, and of items, each decided by the majority of its votes.

      fairseq-ebm human-eval analyse page.key.json ann.json bob.json --results-path OUT.json
    """

    makes = "votes -> which text people prefer"
    work = "human_eval.votes:count"

    ties: str = choice(
        "half", "a tie is half a win, or dropped, or counts against or for the first",
        tuple(TIES), group="",
    )  # fmt: skip
    qualified: Optional[Path] = file(
        None, "what qualify --results-path wrote; other raters are dropped", "RATERS.json"
    )
    max_failed_checks: Optional[int] = whole(None, "drop raters who fail more (default: none is)")
