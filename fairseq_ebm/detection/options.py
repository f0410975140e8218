"""What ``fairseq-ebm discriminate`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

from ..errors import OptionError, UserError
from ..options import Drawing, Machine, argument, one_of, option, seed_option, whole

VALID = "valid"
SCORERS, STORES = "scorers", "stores"
TEXTS = 'whole texts, a JSON object with "text" in each line'


@dataclass(frozen=True)
class Discriminate(Drawing, Machine):
    """How well an energy, the scores of a language model and TF-IDF tell generated text from
    real. A higher score means generated; thresholds are set on the valid subset.

      fairseq-ebm discriminate NEG… --path energy.pt [--lm lm.pt] [--tfidf]
      fairseq-ebm discriminate --real R.jsonl --fake F.jsonl --like DATA --path energy.pt
          [--valid-real R2.jsonl --valid-fake F2.jsonl]
    """

    stores: Tuple[Path, ...] = argument((), "stores of negatives", metavar="NEG", many=True)
    path: Optional[Path] = option(None, "an energy", metavar="ENERGY.pt", group=SCORERS)
    lm: Optional[Path] = option(
        None, "a language model: six scores in one pass", metavar="LM.pt", group=SCORERS
    )
    tfidf: bool = option(
        False,
        "words and pairs of words, by logistic regression on the train subset of each store",
        group=SCORERS,
    )
    tfidf_from: Optional[Path] = option(
        None, "the same, but learnt from the store NEG", metavar="NEG", group=SCORERS
    )
    gen_subset: str = option("test", "subset to judge", group=STORES)
    max_windows: Optional[int] = option(
        None, "judge at most so many windows of a subset, at random", whole(1), group=STORES
    )
    real: Optional[Path] = option(None, "texts of people", metavar="R.jsonl", group=TEXTS)
    fake: Optional[Path] = option(None, "generated texts", metavar="F.jsonl", group=TEXTS)
    valid_real: Optional[Path] = option(
        None, "texts of people, to set thresholds", metavar="R.jsonl", group=TEXTS
    )
    valid_fake: Optional[Path] = option(
        None, "generated texts, to set thresholds", metavar="F.jsonl", group=TEXTS
    )
    like: Optional[Path] = option(
        None, "prepared text with the scorers' vocabulary", metavar="DATA", group=TEXTS
    )
    window: Optional[int] = option(
        None, "tokens of a block (default: the energy's window, or 160)", whole(1), group=TEXTS
    )
    stride: Optional[int] = option(
        None,
        "tokens from one block to the next (default: half a window)",
        whole(1),
        group=TEXTS,
    )
    mean_of: str = option(
        "energy",
        "what of a text's blocks is averaged",
        one_of("energy", "probability"),
        group=TEXTS,
    )
    skip_short: bool = option(False, "pass over texts shorter than a block", group=TEXTS)
    skip_bad_lines: bool = option(False, "pass over broken lines, and count them", group=TEXTS)
    seed: int = seed_option()

    @property
    def files(self) -> Dict[str, Path]:
        names = ("real", "fake", "valid_real", "valid_fake")
        return {name: path for name in names if (path := getattr(self, name))}

    @property
    def learns_words(self) -> bool:
        return self.tfidf or self.tfidf_from is not None

    def check(self) -> None:
        super().check()
        if bool(self.stores) == bool(self.real or self.fake):
            raise OptionError("give stores of negatives, or {real} and {fake}")
        for one, other in (("real", "fake"), ("valid_real", "valid_fake")):
            if (one in self.files) != (other in self.files):
                raise OptionError(f"{{{one}}} and {{{other}}}: give both")
        if self.real and not self.like:
            raise OptionError("{like}: needed with {real} and {fake}")
        if self.real and self.learns_words:
            raise OptionError(
                "{tfidf}: learns from a store's train subset; not with {real} and {fake}"
            )
        if not (self.path or self.lm or self.learns_words):
            raise OptionError("no scorer: give {path}, {lm} or {tfidf}")
        if self.draw and not (self.stores and self.path):
            raise OptionError("{draw}: draws an energy ({path}) on stores of negatives")
        if self.gen_subset == VALID:
            raise UserError(f"--gen-subset {VALID}: sets the thresholds, and cannot judge them too")
