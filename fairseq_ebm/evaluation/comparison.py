"""A model against others that were evaluated on the same windows, paired by window."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import numpy as np

from ..errors import UserError
from ..numerics import intervals
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


def read_baselines(reports: Sequence[str], about: Mapping[str, Any]) -> List[Baseline]:
    """From reports of fairseq-ebm eval-lm and the windows beside them; ``about`` is our own run."""
    return [_read(Path(report), about) for report in reports]


def _read(report: Path, about: Mapping[str, Any]) -> Baseline:
    path = results_path(report)
    if not path.exists():
        raise UserError(
            f"--baseline: {path}: not there; fairseq-ebm eval-lm writes it beside the report"
        )
    theirs, results = read_results(path)
    different = difference(_which(theirs), _which(about))
    if different is not None:
        raise UserError(
            f"--baseline: {report}: of other {different}; evaluate it on the same windows"
        )
    if len(results) < theirs["num_windows"]:
        raise UserError(f"--baseline: {report}: is not complete; finish it with --resume")
    numbers = [result.number for result in results]
    errors = [result.log_z.error for result in results]
    log_probs = _log_probs(theirs, results)
    lms = {each["provenance"]["language_model"]["sha256"] for each in (about, theirs)}
    same = len(lms) == 1 and bool(about["energy"] and theirs["energy"])
    return Baseline(report.stem, dict(zip(numbers, log_probs)), dict(zip(numbers, errors)), same)


def _which(about: Mapping[str, Any]) -> Dict[str, Any]:
    predicted = {name: about.get(name) for name in PREDICTED}
    return {**predicted, "provenance": {name: about["provenance"][name] for name in SAME}}


def _log_probs(about: Mapping[str, Any], results: Sequence[WindowResult]) -> List[float]:
    if not about["energy"]:
        return perplexity.base_log_probs(results).tolist()
    log_z = [result.log_z for result in results]
    return perplexity.joint_log_probs(results, log_z, "lower").tolist()


def against(
    results: Sequence[WindowResult],
    log_probs: np.ndarray,
    baselines: Sequence[Baseline],
    tokens: int,
    seed: int,
) -> List[Dict[str, Any]]:
    """Our windows, with their ``log_probs`` (W,) of ``tokens`` predicted tokens each.

    gain = 1 − our perplexity / theirs: negative where theirs is better.
    """
    numbers = [result.number for result in results]
    errors = uncertainty.errors_of([result.log_z for result in results])
    rows: List[Dict[str, Any]] = []
    for baseline in baselines:
        theirs, their_errors = (
            np.array([values[number] for number in numbers])
            for values in (baseline.log_probs, baseline.errors)
        )
        gain, between = perplexity.gain(log_probs, theirs, tokens, seed)
        independent = np.stack([errors, their_errors], axis=1)
        luck = math.inf if baseline.same_samples else uncertainty.of_mean(independent, tokens)
        row = {"name": baseline.name, "ppl": perplexity.perplexity(theirs, tokens)}
        row.update({"gain": gain, "gain_ci95": between})
        rows.append({**row, "gain_sampling_ci95": intervals.gain_interval(gain, luck)})
    return rows
