"""From what was evaluated and the results of its windows to the report."""

from collections.abc import Mapping, Sequence
from typing import Any, Dict

from . import perplexity
from .comparison import Baseline, against
from .log_probs import EvaluationOptions, WindowResult

KIND = "perplexity"


def report_of(
    about: Mapping[str, Any], results: Sequence[WindowResult], baselines: Sequence[Baseline] = ()
) -> Dict[str, Any]:
    """``about``: the first line of a file of results (docs/formats.md). Of all windows, or of those
    that are done, in any order."""
    results = sorted(results, key=lambda result: result.number)
    first, tokens = about["prefix_length"] + 1, about["window"] - about["prefix_length"]
    options = EvaluationOptions(**about["options"])
    if about["energy"]:
        report = perplexity.joint_report(results, first, tokens, options, about["num_windows"])
        if "formula" in about["provenance"]:  # nobody has trained it: its Z is not meant to be 1
            del report["conditional_nce"]
            report["warnings"] = perplexity.warnings(report)
        report["warnings"] = [*about.get("doubts", []), *report["warnings"]]
    else:
        report = perplexity.base_report(results, tokens, options.seed)
    if baselines:
        report["baselines"] = against(results, baselines, tokens, options.seed)
    if len(results) < about["num_windows"]:
        report["partial"] = {"windows": about["num_windows"]}
    return perplexity.known({"kind": KIND, **report, "provenance": about["provenance"]})
