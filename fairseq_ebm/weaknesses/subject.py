"""The energy and the texts that fairseq-ebm-weaknesses asks about."""

import argparse
from pathlib import Path
from typing import Dict, NamedTuple, Optional

from ..cli import processes
from ..data.tokenizers import Tokenizer, load_tokenizer
from ..detection.stores import chosen
from ..lm.checkpoint import BaseLM, load_base_lm
from ..models.checkpoint import Energy, load_energy
from ..negatives.store import NegativesSubset
from . import attacks, perturbations
from .attacks import Texts
from .perturbations import Judge


class Subject(NamedTuple):
    """All that the questions are asked with."""

    subset: NegativesSubset
    texts: Texts
    tokenizer: Tokenizer
    energy: Energy
    lm: Optional[BaseLM]
    judges: Dict[str, Judge]
    threshold: float
    calibrated: bool


def load(arguments: argparse.Namespace) -> Subject:
    neg, precision = Path(arguments.neg), processes.precision(arguments)
    device = processes.device(arguments)
    subset = NegativesSubset(neg, arguments.gen_subset)
    energy = load_energy(Path(arguments.path), neg, precision, device)
    processes.require_positions(
        "--path", arguments.path, int(energy.model.max_positions()), subset.window
    )
    judges = {"energy": perturbations.energy_judge(energy.model)}
    lm = None
    if arguments.lm:
        lm = load_base_lm(Path(arguments.lm), neg, precision, device, "--lm")
        processes.require_positions("--lm", arguments.lm, lm.max_positions, subset.window)
        judges["nll"] = perturbations.nll_judge(lm)
    members = chosen(subset, arguments.max_windows, arguments.seed)
    texts = attacks.texts_of(subset, members)
    attacks.scores(texts, judges["energy"], members)
    threshold = calibrated(subset, judges["energy"], arguments)
    return Subject(
        subset,
        texts,
        load_tokenizer(neg),
        energy,
        lm,
        judges,
        0.0 if threshold is None else threshold,
        threshold is not None,
    )


def calibrated(
    subset: NegativesSubset, energy: Judge, arguments: argparse.Namespace
) -> Optional[float]:
    """None: the subset valid is not there, is the one looked at, or is not told apart at all."""
    if arguments.gen_subset == "valid" or "valid" not in subset.manifest.subsets:
        return None
    valid = NegativesSubset(arguments.neg, "valid")
    members = chosen(valid, arguments.max_windows, arguments.seed)
    texts = attacks.texts_of(valid, members)
    return attacks.best_threshold(attacks.scores(texts, energy, members))
