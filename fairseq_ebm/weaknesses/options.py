"""What ``fairseq-ebm weaknesses`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..options import (
    REQUIRED,
    Drawing,
    Machine,
    argument,
    one_of,
    option,
    seed_option,
    share,
    whole,
    wholes,
)

QUESTIONS = "questions"
UNITS = ("token", "word")


@dataclass(frozen=True)
class Weaknesses(Drawing, Machine):
    """Four questions to an energy that tells real text from generated: what does one changed
    word or token do to it, by its place? How few tokens, chosen by its own gradients, turn
    its verdict, and what does each of them do alone? What do attacks on the text do that
    need no model? How many generated tokens must it see?

      fairseq-ebm weaknesses NEG --path energy.pt --results-path OUT.json --draw
      fairseq-ebm weaknesses NEG --path energy.pt --lm lm.pt --unit word --entity John --common the

    The threshold of its verdict is that of the best balanced accuracy on the subset valid
    (0 if NEG has none, or where that is the subset looked at).
    """

    neg: Path = argument(REQUIRED, "store of negatives", metavar="NEG")
    path: Path = option(REQUIRED, "checkpoint of the energy", metavar="ENERGY.pt")
    lm: Optional[Path] = option(None, "a language model that judges beside it", metavar="LM.pt")
    gen_subset: str = option("test", "subset to take windows from")
    max_windows: int = option(
        200, "take at most so many windows, at random, and the first negative of each", whole(2)
    )
    seed: int = seed_option()
    positions: int = option(
        16,
        "change something at so many places of a window, evenly spaced",
        whole(1),
        group=QUESTIONS,
    )
    unit: str = option(
        "token",
        "change one token there, or the whole word it belongs to",
        one_of(*UNITS),
        group=QUESTIONS,
    )
    entity: Optional[str] = option(
        None,
        "a name to put in there (default: the most frequent that looks like one)",
        metavar="WORD",
        group=QUESTIONS,
    )
    common: Optional[str] = option(
        None,
        "a common word to put in there (default: the most frequent)",
        metavar="WORD",
        group=QUESTIONS,
    )
    replaced: Optional[str] = option(
        None,
        "change this word, the first in each window that has it, instead of what is at --positions",
        metavar="WORD",
        group=QUESTIONS,
    )
    edits: int = option(5, "edit at most so many tokens of a text", whole(1), group=QUESTIONS)
    top_edits: int = option(
        20, "compare the true effect of so many edits with the predicted one", whole(1),
        group=QUESTIONS,
    )  # fmt: skip
    share: float = option(
        0.5, "share of places that an attack changes", share(), metavar="S", group=QUESTIONS
    )
    visible: Tuple[int, ...] = option(
        (),
        "show the energy the first L generated tokens (default: 5,10,20,40 and all)",
        wholes(1),
        metavar="L,L,…",
        group=QUESTIONS,
    )
