"""The report as programs and Python have it, also where numbers are not finite."""

import dataclasses
import math

from fairseq_ebm.evaluation.log_probs import Bounds, EvaluationOptions
from fairseq_ebm.evaluation.report import report_of
from fairseq_ebm.reports.terminal import shown
from tests.evaluation.test_perplexity import window


def about(windows, energy=True, **more):
    options = dataclasses.asdict(EvaluationOptions(num_samples=4))
    shape = {"window": 12, "prefix_length": 2, "num_windows": windows, "options": options}
    return {**shape, "energy": energy, "provenance": {"seed": 1}, **more}


def test_the_order_of_windows_does_not_matter():
    results = [window(i, -30.0 - i, log_z=0.1) for i in range(5)]
    whole = report_of(about(5), results)
    assert report_of(about(5), results[::-1]) == whole and "partial" not in whole
    assert report_of(about(9, doubts=["a doubt"]), results)["warnings"] == ["a doubt"]
    assert report_of(about(9), results)["partial"] == {"windows": 9}
    assert set(report_of(about(5, energy=False), results)) >= {"base_ppl", "provenance"}


def test_what_is_not_finite_is_null_and_can_be_shown():
    """One sample has all the weight: the upper bound and the error of log Z are infinite."""
    endless = Bounds(0.1, math.inf, math.inf, math.inf)
    results = [dataclasses.replace(window(i, -30.0), log_z=endless) for i in range(3)]
    report = report_of(about(3), results)
    assert report["joint_ppl_upper"] is report["gain"] is report["mean_log_z"] is None
    assert report["joint_ppl_sampling_ci95"] is None and report["error"]["samples"] is None
    assert math.isfinite(report["joint_ppl_lower"])
    words = shown(report)
    assert "joint model, bounds" in words and "unknown from sampling" in words
