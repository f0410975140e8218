"""What ``fairseq-ebm weaknesses`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..options import REQUIRED, Drawing, Machine, Seeded, choice, file, share, text, whole, wholes

UNITS = ("token", "word")


@dataclass(frozen=True)
class Weaknesses(Drawing, Machine, Seeded):
    """Four questions to an energy that tells real text from generated: what does one changed
    word or token do to it, by its place? How few tokens, chosen by its own gradients, turn
    its verdict, and what does each of them do alone? What do attacks on the text do that
    need no model? How many generated tokens must it see?

      fairseq-ebm weaknesses NEG --path energy.pt --results-path OUT.json --draw
      fairseq-ebm weaknesses NEG --path energy.pt --lm lm.pt --unit word --entity John --common the

    The threshold of its verdict is that of the best balanced accuracy on the subset valid
    (0 if NEG has none, or where that is the subset looked at).
    """

    makes = "an energy, texts -> what turns its verdict"
    work = "weaknesses.questions:weaknesses"

    neg: Path = file(REQUIRED, "store of negatives", "NEG", argument=True)
    path: Path = file(REQUIRED, "checkpoint of the energy", "ENERGY.pt")
    lm: Optional[Path] = file(None, "a language model that judges beside it", "LM.pt")
    gen_subset: str = text("test", "subset to take windows from")
    max_windows: int = whole(200, "windows at most, at random; of each the first negative", 2)
    positions: int = whole(16, "change so many places of a window, evenly", 1, group="questions")
    unit: str = choice("token", "change one token there, or the word it belongs to", UNITS)
    entity: Optional[str] = text(
        None, "a name to put in there (default: the most frequent that looks like one)", "WORD"
    )
    common: Optional[str] = text(
        None, "a common word to put in there (default: the most frequent)", "WORD"
    )
    replaced: Optional[str] = text(
        None,
        "change this word, the first in each window that has it, instead of what is at --positions",
        "WORD",
    )
    edits: int = whole(5, "edit at most so many tokens of a text", 1)
    top_edits: int = whole(20, "compare so many edits' true effect with the predicted one", 1)
    share: float = share(0.5, "share of places that an attack changes")
    visible: Tuple[int, ...] = wholes(
        (), "show the energy the first L generated tokens (default: 5,10,20,40 and all)", 1, "L,L,…"
    )
