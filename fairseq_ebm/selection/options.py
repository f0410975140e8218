"""What the verbs about selection can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from ..errors import OptionError
from ..options import (
    REQUIRED,
    Drawing,
    Machine,
    Quiet,
    Reporting,
    Seeded,
    Shards,
    choice,
    file,
    share,
    text,
    whole,
)

BREAK_MODES = ("none", "complete", "complete_doc", "eos")
SHORTEN = ("none", "truncate", "random_crop")
SELECT, BLOCKS = "scores, one of", "examples, as in training"


@dataclass(frozen=True)
class Blocks(Quiet):
    """How text is cut into examples: the flags of fairseq's language_modeling."""

    tokens_per_sample: int = whole(1024, "tokens of an example, at most", 1, group=BLOCKS)
    sample_break_mode: str = choice("none", "where examples end; eos: with documents", BREAK_MODES)
    shorten_method: str = choice("none", "of documents that are longer", SHORTEN)

    @property
    def cut(self) -> Dict[str, Any]:
        return self.recorded("tokens_per_sample", "sample_break_mode", "shorten_method")


@dataclass(frozen=True)
class SelectionScores(Blocks, Machine, Shards):
    """Scores all examples of a generic text, once: how well each serves a specific one.

      fairseq-ebm selection-scores GENERIC --before general.pt --after finetuned.pt --dest SCORES
      fairseq-ebm selection-scores GENERIC --energy energy.pt --dest SCORES
      fairseq-ebm selection-scores GENERIC --merge SCORES      # after shards

    Of two language models, the second fine-tuned on specific text from the first: by how much the
    loss of an example falls (contrastive data selection). Of an energy, −E. Of a language model
    trained with data_selection_lm, what its weighting network says. What was killed goes on.
    """

    makes = "a generic text, models -> the worth of each example"
    work = "selection.scores:selection_scores"

    data: Path = file(REQUIRED, "prepared generic text", "GENERIC", argument=True)
    before: Optional[Path] = file(None, "a language model", "LM.pt", group=SELECT)
    after: Optional[Path] = file(None, "the same, fine-tuned on specific text", "LM.pt")
    energy: Optional[Path] = file(None, "an energy, low where text is specific", "ENERGY.pt")
    weighting: Optional[Path] = file(None, "trained with data_selection_lm", "LM.pt")
    merge: Optional[Path] = file(None, "join the shards of SCORES", "SCORES")
    dest: Optional[Path] = file(None, "folder to write", "SCORES", group="")
    split: str = text("train", "split of GENERIC")

    def check(self) -> None:
        super().check()
        if self.merge is not None:
            return
        self.need("dest")
        self.refuse_a_file("dest")
        ways = [self.before or self.after, self.energy, self.weighting]
        if sum(way is not None for way in ways) != 1:
            raise OptionError("give {before} and {after}, or {energy}, or {weighting}")
        if (self.before is None) != (self.after is None):
            raise OptionError("{before} and {after}: give both")


@dataclass(frozen=True)
class SelectionFilter(Quiet, Seeded):
    """Writes the part of a generic text that has the best scores as prepared text.

      fairseq-ebm selection-filter GENERIC --scores SCORES --keep 10% --dest FILTERED

    Its split train holds the examples that were kept, in their order, each as a document; the other
    splits and the vocabulary are those of GENERIC.
    """

    makes = "a generic text, its scores -> the part worth training on"
    work = "selection.filtered:selection_filter"

    data: Path = file(REQUIRED, "prepared generic text", "GENERIC", argument=True)
    scores: Path = file(REQUIRED, "of all its examples", "SCORES")
    keep: float = share(REQUIRED, "share of the examples to keep, as 10% or 0.1")
    how: str = choice("top", "the highest scores, or drawn without replacement, each in "
                        "proportion to exp(score)", ("top", "drawn"))  # fmt: skip
    dest: Path = file(REQUIRED, "directory to write", "FILTERED")


@dataclass(frozen=True)
class SelectionTest(Reporting, Blocks, Machine, Seeded):
    """Before a long training: will selection find what helps on the specific text?

      fairseq-ebm selection-test GENERIC --specific SPECIFIC --path early.pt later.pt

    Generic examples are ranked by how much a step on each lowers the specific loss, and the ranks
    compared: by one half of the specific text and by the other, and at one checkpoint and the next.
    Where ranks do not agree with themselves, there is nothing that selection could learn.
    """

    makes = "a language model, generic and specific text -> whether selection can work"
    work = "selection.stability:selection_test"

    data: Path = file(REQUIRED, "prepared generic text", "GENERIC", argument=True)
    specific: Path = file(REQUIRED, "prepared specific text, same vocabulary", "SPECIFIC")
    path: Tuple[Path, ...] = file(
        REQUIRED, "checkpoints of a language model in training, in their order", "LM.pt", many=True
    )
    split: str = text("train", "split of both texts")
    examples: int = whole(512, "generic examples to rank, at random", 16)
    specific_examples: int = whole(512, "specific examples, at most, in two halves", 4)


@dataclass(frozen=True)
class SelectionLog(Drawing):
    """What was chosen while language models trained with data_selection_lm, side by side: shares of
    the sources, examples seen, seconds spent on selecting, and the losses in validation against
    time.

      fairseq-ebm selection-log runs/generic/selection.jsonl runs/soba/selection.jsonl
    """

    makes = "logs of data_selection_lm -> what was chosen, and what it was good for"
    work = "selection.compare:selection_log"
    needs_fairseq = False

    logs: Tuple[Path, ...] = file(
        REQUIRED, "logs; each is called as its folder", "LOG.jsonl", argument=True, many=True
    )
