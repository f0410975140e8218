"""A model against others that were evaluated on the same windows, paired by window."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import numpy as np

from ..errors import UserError
from ..numerics import intervals
from ..options import Record
from . import perplexity, uncertainty
from .log_probs import WindowResult
from .results import difference, read_results, results_path

SAME = ("text", "windows", "seed")  # parts of provenance that say which windows they are
PREDICTED = ("window", "prefix_length", "right_to_left")  # which of their tokens are predicted


class Baseline(NamedTuple):
    """``log_probs`` of windows by number: of a joint model the highest that its bounds allow, with
    the ``errors`` of its log Z. ``same_samples``: they come from the same pools as ours."""

    name: str
    log_probs: Dict[int, float]
    errors: Dict[int, float]
    same_samples: bool


def read_baseline(report: Path, about: Mapping[str, Any]) -> Baseline:
    """From a report of fairseq-ebm eval-lm and the windows beside it; ``about`` is our own run."""
    path = results_path(report)
    if not path.exists():
        remedy = "fairseq-ebm eval-lm writes it beside the report"
        raise UserError(f"--baseline: {path}: not there; {remedy}")
    theirs, results = read_results(path)
    different = difference(_which(theirs), _which(about))
    if different is not None:
        remedy = "evaluate it on the same windows"
        raise UserError(f"--baseline: {report}: of other {different}; {remedy}")
    if len(results) < theirs["num_windows"]:
        raise UserError(f"--baseline: {report}: is not complete; finish it with --resume")
    numbers = [result.number for result in results]
    errors = [result.log_z.error for result in results]
    log_probs = perplexity.joint_log_probs(results, "lower").tolist()
    lms = {each["provenance"]["language_model"]["sha256"] for each in (about, theirs)}
    same = len(lms) == 1 and bool(about["energy"] and theirs["energy"])
    return Baseline(report.stem, dict(zip(numbers, log_probs)), dict(zip(numbers, errors)), same)


def _which(about: Mapping[str, Any]) -> Record:
    predicted = {name: about.get(name) for name in PREDICTED}
    return {**predicted, "provenance": {name: about["provenance"][name] for name in SAME}}


def against(
    results: Sequence[WindowResult], baselines: Sequence[Baseline], tokens: int, seed: int
) -> List[Record]:
    """Our windows, of ``tokens`` predicted tokens each: their lowest log-probabilities by the
    bounds, against the highest of the baselines.

    gain = 1 − our perplexity / theirs: negative where theirs is better.
    """
    numbers = [result.number for result in results]
    log_probs = perplexity.joint_log_probs(results, "upper")
    errors = uncertainty.errors_of([result.log_z for result in results])
    rows: List[Record] = []
    for baseline in baselines:
        theirs = np.array([baseline.log_probs[number] for number in numbers])
        their_errors = np.array([baseline.errors[number] for number in numbers])
        gain, between = perplexity.gain(log_probs, theirs, tokens, seed)
        independent = np.stack([errors, their_errors], axis=1)
        luck = math.inf if baseline.same_samples else uncertainty.of_mean(independent, tokens)
        row = {"name": baseline.name, "ppl": perplexity.perplexity(theirs, tokens), "gain": gain}
        between_samples = intervals.gain_interval(gain, luck)
        rows.append({**row, "gain_ci95": between, "gain_sampling_ci95": between_samples})
    return rows
