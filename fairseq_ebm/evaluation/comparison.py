"""What a model is worth beside others that were evaluated on the same windows, paired by window."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import numpy as np

from ..errors import UserError
from . import perplexity
from .log_probs import WindowResult
from .results import read_results, results_path

SAME = ("text", "windows", "seed")  # of provenance: which windows they are


class Baseline(NamedTuple):
    """``log_probs`` of windows by their numbers; of a joint model the highest its bounds allow."""

    name: str
    log_probs: Dict[int, float]


def read_baselines(reports: Sequence[str], about: Mapping[str, Any]) -> List[Baseline]:
    """Of reports of fairseq-ebm-eval-lm, with their windows beside them; ``about`` ours."""
    return [_read(Path(report), about) for report in reports]


def _read(report: Path, about: Mapping[str, Any]) -> Baseline:
    path = results_path(report)
    if not path.exists():
        raise UserError(f"--baseline: {path}: not there; it is written beside a report")
    own, results = read_results(path)
    if _which(about) != _which(own):
        raise UserError(f"--baseline: {report}: of other text or other windows")
    if len(results) < own["num_windows"]:
        raise UserError(f"--baseline: {report}: is not whole; go on with it by --resume")
    return Baseline(report.stem, dict(zip((r.number for r in results), _log_probs(own, results))))


def _which(about: Mapping[str, Any]) -> Dict[str, Any]:
    predicted = {name: about.get(name) for name in ("window", "prefix_length", "right_to_left")}
    return {**predicted, **{name: about["provenance"][name] for name in SAME}}


def _log_probs(about: Mapping[str, Any], results: Sequence[WindowResult]) -> List[float]:
    if not about["energy"]:
        return perplexity.base_log_probs(results).tolist()
    log_z = [result.log_z for result in results]
    return perplexity.joint_log_probs(results, log_z, "lower").tolist()


def against(
    log_probs: Mapping[int, float], baselines: Sequence[Baseline], tokens: int, seed: int
) -> List[Dict[str, Any]]:
    """``log_probs``: of our windows by their numbers; of ``tokens`` predicted tokens each.

    gain = 1 − our perplexity / theirs, below 0 where they are better.
    """
    numbers = sorted(log_probs)
    ours = np.array([log_probs[number] for number in numbers])
    found = []
    for baseline in baselines:
        theirs = np.array([baseline.log_probs[number] for number in numbers])
        gain, between = perplexity.gain(ours, theirs, tokens, seed)
        ppl = perplexity.perplexity(theirs, tokens)
        found.append({"name": baseline.name, "ppl": ppl, "gain": gain, "gain_ci95": between})
    return found
