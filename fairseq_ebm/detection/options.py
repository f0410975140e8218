"""What ``fairseq-ebm discriminate`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

from ..errors import OptionError
from ..options import Drawing, Machine, Seeded, choice, file, flag, text, whole

VALID = "valid"


@dataclass(frozen=True)
class Discriminate(Drawing, Machine, Seeded):
    """How well an energy, the scores of a language model and TF-IDF tell generated text from
    real. A higher score means generated; thresholds are set on the valid subset.

      fairseq-ebm discriminate NEG… --path energy.pt [--lm lm.pt] [--tfidf]
      fairseq-ebm discriminate --real R.jsonl --fake F.jsonl --like DATA --path energy.pt
          [--valid-real R2.jsonl --valid-fake F2.jsonl]
    """

    makes = "an energy, texts -> how well it tells generated text from real"
    work = "detection.discriminate:discriminate"

    stores: Tuple[Path, ...] = file((), "stores of negatives", "NEG", argument=True, many=True)
    path: Optional[Path] = file(None, "an energy", "ENERGY.pt", group="scorers")
    lm: Optional[Path] = file(None, "a language model: eight scores in one pass", "LM.pt")
    tfidf: bool = flag(
        "words and word pairs, by logistic regression on each store's train subset, or of whole "
        "texts on those of --train-real and --train-fake"
    )
    tfidf_from: Optional[Path] = file(None, "the same, but learnt from the store NEG", "NEG")
    gen_subset: str = text("test", "subset to judge", group="stores")
    max_windows: Optional[int] = whole(None, "judge at most so many windows, at random", 1)
    show: int = whole(
        0, "print the texts of so many windows, real and generated, by their energies", 0
    )
    real: Optional[Path] = file(
        None, "texts of people", "R.jsonl", group='whole texts, a line {"text": …} each'
    )
    fake: Optional[Path] = file(None, "generated texts", "F.jsonl")
    valid_real: Optional[Path] = file(None, "texts of people, to set thresholds", "R.jsonl")
    valid_fake: Optional[Path] = file(None, "generated texts, to set thresholds", "F.jsonl")
    train_real: Optional[Path] = file(None, "texts of people, for --tfidf to learn from", "R.jsonl")
    train_fake: Optional[Path] = file(None, "generated texts, for --tfidf", "F.jsonl")
    like: Optional[Path] = file(None, "prepared text with the scorers' vocabulary", "DATA")
    window: Optional[int] = whole(None, "tokens of a block (default: the energy's, or 160)", 1)
    stride: Optional[int] = whole(None, "from one block to the next (default: half a window)", 1)
    mean_of: str = choice("energy", "what of blocks is averaged", ("energy", "probability"))
    skip_short: bool = flag("pass over texts shorter than a block")
    skip_bad_lines: bool = flag("pass over broken lines, and count them")

    @property
    def files(self) -> Dict[str, Path]:
        names = (f"{part}{kind}" for part in ("", "valid_", "train_") for kind in ("real", "fake"))
        return {name: path for name in names if (path := getattr(self, name))}

    @property
    def judged_files(self) -> Dict[str, Path]:
        return {n: path for n, path in self.files.items() if not n.startswith("train_")}

    @property
    def learns_words(self) -> bool:
        return self.tfidf or self.tfidf_from is not None

    def check(self) -> None:
        super().check()
        if bool(self.stores) == bool(self.real or self.fake):
            drop = "; drop one of them" if self.stores else ""
            raise OptionError(f"give stores of negatives, or {{real}} and {{fake}}{drop}")
        self._check_files()
        if self.real and not self.like:
            raise OptionError("{like}: needed with {real} and {fake}")
        self._check_words()
        if not (self.path or self.lm or self.learns_words):
            raise OptionError("no scorer: give {path}, {lm} or {tfidf}")
        if self.draw and not (self.stores and self.path):
            raise OptionError("{draw}: draws an energy ({path}) on stores of negatives")
        if self.show and not (self.stores and self.path):
            raise OptionError("{show}: shows what an energy ({path}) says of stores of negatives")
        if self.gen_subset == VALID:
            raise OptionError(f"{{gen_subset}} {VALID}: sets the thresholds, and cannot judge too")

    def _check_words(self) -> None:
        if self.real and self.tfidf_from:
            raise OptionError("{tfidf_from}: a store; with {real} and {fake} use {tfidf}")
        if self.real and self.tfidf and not {"valid_real", "train_real"} <= set(self.files):
            needed = "{train_real}, {train_fake}, {valid_real} and {valid_fake}"
            raise OptionError(f"{{tfidf}}: with {{real}} and {{fake}} it learns from {needed}")
        if self.train_real and not self.tfidf:
            raise OptionError("{train_real}: only {tfidf} learns from it")
        if self.tfidf and self.tfidf_from:
            raise OptionError("{tfidf}: {tfidf_from} is given too; drop one")

    def _check_files(self) -> None:
        for part in ("", "valid_", "train_"):
            one, other = f"{part}real", f"{part}fake"
            if (one in self.files) != (other in self.files):
                raise OptionError(f"{{{one}}} and {{{other}}}: give both")
        for one in ("real", "fake"):
            test, valid, train = (
                self.files.get(f"{part}{one}") for part in ("", "valid_", "train_")
            )
            if test and test == valid:
                problem = f"thresholds are set on other texts than those of {{{one}}}"
                raise OptionError(f"{{valid_{one}}}: {problem}")
            if train and train in (test, valid):
                raise OptionError(f"{{train_{one}}}: texts to learn from are others than to judge")
