"""The energy and the texts that questions are asked about."""

from typing import Dict, NamedTuple, Optional, Tuple

from ..data.tokenizers import Tokenizer, load_tokenizer
from ..detection.metrics import Scores
from ..detection.stores import chosen
from ..lm.checkpoint import BaseLM, load_base_lm
from ..models.checkpoint import Energy, load_energy
from ..negatives.store import NegativesSubset
from . import attacks, perturbations
from .attacks import Texts
from .options import Weaknesses
from .perturbations import Judge


class Subject(NamedTuple):
    subset: NegativesSubset
    texts: Texts
    tokenizer: Tokenizer
    energy: Energy
    lm: Optional[BaseLM]
    judges: Dict[str, Judge]
    # The threshold that the subset valid gives. None: it is not there, is the one looked at, or is
    # not told apart at all.
    calibrated: Optional[float]

    @property
    def threshold(self) -> float:
        return 0.0 if self.calibrated is None else self.calibrated


def load(options: Weaknesses) -> Subject:
    neg, precision, device = options.neg, options.precision, options.device
    subset = NegativesSubset(neg, options.gen_subset)
    energy = load_energy(options.path, neg, precision, device)
    energy.require_window(subset.window, "--path")
    judges = {"energy": perturbations.energy_judge(energy.model)}
    lm = None
    if options.lm:
        lm = load_base_lm(options.lm, neg, precision, device, "--lm")
        lm.require_window(subset.window, "--lm")
        judges["nll"] = perturbations.nll_judge(lm)
    texts, _ = _judged(subset, judges["energy"], options)
    threshold = None
    if options.gen_subset != "valid" and "valid" in subset.manifest.subsets:
        _, valid = _judged(NegativesSubset(neg, "valid"), judges["energy"], options)
        threshold = attacks.best_threshold(valid)
    return Subject(subset, texts, load_tokenizer(neg), energy, lm, judges, threshold)


def _judged(subset: NegativesSubset, energy: Judge, options: Weaknesses) -> Tuple[Texts, Scores]:
    members = chosen(subset, options.max_windows, options.seed)
    texts = attacks.texts_of(subset, members)
    return texts, attacks.scores(texts, energy, members)
