"""From the results of windows to perplexities, their intervals and warnings about them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Callable, List, Optional, Tuple

import numpy as np
from scipy.stats import bootstrap

from ..numerics import intervals
from ..options import Record
from . import uncertainty
from .log_probs import Bounds, EvaluationOptions, LastPosition, WindowResult

RESAMPLES = 2000
Interval = Optional[Tuple[float, float]]  # None if there is only one window

BOUNDS = {"joint_ppl_lower": "lower", "joint_ppl_upper": "upper", "joint_ppl": "jackknife"}

# Beyond these we warn.
HEAVY = 0.7  # Pareto k-hat: sums of such weights cannot be trusted ...
FEW = 0.05  # ... if more than this share of windows has them
FEW_EFFECTIVE = 10.0  # samples, mean over windows
FAR_APART = 1.02  # upper / lower perplexity
STILL_MOVING = 1.005  # ratio of the joint perplexities at the last two sizes of the curve
NOT_NORMALISED = 1.0  # nats, mean log Z


def perplexity(log_probs: np.ndarray, tokens: int) -> float:
    """Of windows with ``tokens`` predicted tokens each."""
    return float(np.exp(-log_probs.mean() / tokens))


def interval(log_probs: np.ndarray, tokens: int, seed: int) -> Interval:
    """95% over windows, of exp(-mean / tokens), by bootstrap."""
    if len(log_probs) < 2:
        return None
    batch, generator = max(1, 2**22 // len(log_probs)), np.random.default_rng(seed)
    how = {"n_resamples": RESAMPLES, "method": "percentile"}
    resampled = bootstrap((log_probs,), np.mean, batch=batch, random_state=generator, **how)
    means = resampled.confidence_interval
    return float(np.exp(-means.high / tokens)), float(np.exp(-means.low / tokens))


def gain(own: np.ndarray, others: np.ndarray, tokens: int, seed: int) -> Tuple[float, Interval]:
    """1 − perplexity / that of ``others``. Paired, so how hard a window is cancels."""
    won = own - others
    ratio = interval(won, tokens, seed)
    return 1.0 - perplexity(won, tokens), ratio and (1.0 - ratio[1], 1.0 - ratio[0])


def base_log_probs(results: Sequence[WindowResult]) -> np.ndarray:
    return np.array([result.log_lm for result in results])


def base_report(results: Sequence[WindowResult], tokens: int, seed: int) -> Record:
    """For a language model alone; ``tokens`` of each window are predicted."""
    log_lm = base_log_probs(results)
    return {
        "base_ppl": perplexity(log_lm, tokens),
        "base_ppl_ci95": interval(log_lm, tokens, seed),
        "num_windows": len(results),
    }


def joint_report(
    results: Sequence[WindowResult],
    first: int,
    tokens: int,
    options: EvaluationOptions,
    windows: Optional[int] = None,
) -> Record:
    """``first``: the position of the first predicted token, counted from 1; ``windows``: how many
    there are in all, if ``results`` lacks some."""
    report, seed = base_report(results, tokens, options.seed), options.seed
    log_z = [result.log_z for result in results]
    log_ps = {bound: joint_log_probs(results, bound) for bound in BOUNDS.values()}
    for name, bound in BOUNDS.items():
        report[name] = perplexity(log_ps[bound], tokens)
        report[f"{name}_ci95"] = interval(log_ps[bound], tokens, seed)
    errors = uncertainty.errors_of(log_z)
    luck = uncertainty.of_mean(errors, tokens)
    report["joint_ppl_sampling_ci95"] = intervals.interval(report["joint_ppl"], luck)
    base = base_log_probs(results)
    report["gain"], report["gain_ci95"] = gain(log_ps["upper"], base, tokens, seed)
    report["gain_sampling_ci95"] = intervals.gain_interval(report["gain"], luck)
    report["error"] = uncertainty.division(log_ps["jackknife"], errors, tokens)
    report.update(_samples(results, options, windows or len(results)))
    report["mean_log_z"] = float(np.mean([z.jackknife for z in log_z]))
    report["conditional_nce"] = {
        "loss": float(np.mean([result.nce for result in results])),
        "normalised": float(np.mean([result.nce_normalised for result in results])),
    }
    report.update(_diagnostics(results))
    if options.sample_curve:
        report["curve"] = _curve(results, tokens, options.sample_curve)
    if options.per_position:
        report["per_position"] = _per_position(results, first)
    if options.exact_last_position:
        report["last_position"] = _last_position(results)
    report["warnings"] = warnings(report)
    return report


def known(value: Any) -> Any:
    """None for every number that is not finite: a single sample may have all the weight."""
    if isinstance(value, (list, tuple)):
        return type(value)(known(item) for item in value)
    if isinstance(value, dict):
        return {name: known(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def joint_log_probs(
    results: Sequence[WindowResult], bound: str, log_z: Optional[Sequence[Bounds]] = None
) -> np.ndarray:
    """log P = log P_LM - E - log Z: (W,). The "lower" log Z gives the lower perplexity. A
    language model alone has an E and a log Z of 0."""
    pairs = zip(results, log_z or [result.log_z for result in results])
    return np.array([r.log_lm - r.energy - float(getattr(z, bound)) for r, z in pairs])


def _samples(results: Sequence[WindowResult], options: EvaluationOptions, windows: int) -> Record:
    """``num_samples`` per window, or its mean where windows differ. A part of the ``windows`` may
    have a larger error than all of them."""
    if options.sampling_error is None:
        return {"num_samples": options.num_samples}
    sizes = np.array([result.num_samples for result in results])
    target = options.sampling_error
    errors = {"target_error": target, "allowed_error": target * math.sqrt(windows / len(results))}
    drawn = {"min": int(sizes.min()), "max": int(sizes.max()), "total": int(sizes.sum())}
    return {"num_samples": round(float(sizes.mean())), "samples": {**errors, **drawn}}


def _diagnostics(results: Sequence[WindowResult]) -> Record:
    ess, k = (np.array([getattr(r, name) for r in results]) for name in ("ess", "pareto_k"))
    finite = k[np.isfinite(k)]
    mean_k = float(finite.mean()) if len(finite) else None
    return {
        "ess": {"mean": float(ess.mean()), "min": float(ess.min())},
        "pareto_k": {"mean": mean_k, "share_above_0_7": float((k > HEAVY).mean())},
    }


def _curve(results: Sequence[WindowResult], tokens: int, sizes: Sequence[int]) -> List[Record]:
    rows: List[Record] = []
    for i, size in enumerate(sizes):
        log_z = [result.curve[i] for result in results]
        log_ps = (joint_log_probs(results, bound, log_z) for bound in BOUNDS.values())
        ppls = dict(zip(("lower", "upper", "joint"), (perplexity(p, tokens) for p in log_ps)))
        luck = uncertainty.of_mean(uncertainty.errors_of(log_z), tokens)
        between = intervals.interval(ppls["joint"], luck)
        rows.append({"num_samples": size, **ppls, "sampling_ci95": between})
    return rows


def _per_position(results: Sequence[WindowResult], first: int) -> List[Record]:
    """log P(x_t | x_<t) = log P_LM(x_t | x_<t) + log Z(x_≤t) - log Z(x_<t).

    The denominator at a position is the numerator at the one before. A lower bound of the ratio
    is the lower numerator over the upper denominator. At the last position the numerator is
    known: exp(-E).
    """
    log_lm = np.array([result.token_log_lm for result in results])  # (W, L)
    known = np.array([[-result.energy] for result in results])
    below, above, middle, errors = (
        np.array([[getattr(z, name) for z in r.position_log_z] for r in results])
        for name in ("lower", "upper", "jackknife", "error")
    )  # (W, L): of the prefixes of p, p + 1, … T - 1 tokens

    def log_p(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        return log_lm + np.concatenate([numerator[:, 1:], known], axis=1) - denominator

    log_ps = {
        "lower": log_p(above, below), "joint": log_p(middle, middle), "upper": log_p(below, above)
    }  # fmt: skip
    errors_above = np.concatenate([errors[:, 1:], 0 * known], axis=1)
    rows: List[Record] = []
    for t in range(log_lm.shape[1]):
        row = {"position": first + t, "base_ppl": perplexity(log_lm[:, t], 1)}
        row.update({name: perplexity(values[:, t], 1) for name, values in log_ps.items()})
        luck = uncertainty.of_mean(np.stack([errors[:, t], errors_above[:, t]], axis=1), 1)
        rows.append({**row, "sampling_ci95": intervals.interval(row["joint"], luck)})
    return rows


def _last_position(results: Sequence[WindowResult]) -> Record:
    pairs = [(result.energy, result.last) for result in results if result.last is not None]

    def ppl(log_z: Callable[[LastPosition], float]) -> float:
        return perplexity(np.array([last.log_lm - e - log_z(last) for e, last in pairs]), 1)

    joint = ppl(lambda last: last.log_z.jackknife)
    luck = uncertainty.of_mean(uncertainty.errors_of([last.log_z for _, last in pairs]), 1)
    return {
        "base_ppl": perplexity(np.array([last.log_lm for _, last in pairs]), 1),
        "lower": ppl(lambda last: last.log_z.lower),
        "joint": joint,
        "upper": ppl(lambda last: last.log_z.upper),
        "sampling_ci95": intervals.interval(joint, luck),
        "exact": ppl(lambda last: last.exact_log_z),
    }


def _missed(report: Mapping[str, Any]) -> List[str]:
    """A warning if the target of --sampling-error was missed."""
    if "samples" not in report:
        return []
    error, allowed = report["error"]["samples"], report["samples"]["allowed_error"]
    if error is not None and error <= allowed:
        return []
    reached = "unknown" if error is None else f"{error:.3%}"
    why = "some windows need more than --max-samples, or there are too few to make up for others"
    return [f"the sampling error is {reached}, above the {allowed:.3%} asked for: {why}"]


def warnings(report: Mapping[str, Any]) -> List[str]:
    """Why a report's joint perplexity may be wrong, as sentences."""
    n, reasons = report["num_samples"], []
    heavy = report["pareto_k"]["share_above_0_7"]
    if heavy > FEW:
        few = f"a few samples dominate the sum, and both bounds may be wrong; {n} are too few"
        reasons.append(f"Pareto k-hat is above 0.7 on {heavy:.0%} of the windows: {few}")
    if report["ess"]["mean"] < FEW_EFFECTIVE:
        low = "log Z is likely underestimated, and the perplexity too low"
        reasons.append(f"of {n} samples {report['ess']['mean']:.1f} count on average: {low}")
    if not report["joint_ppl_upper"] <= FAR_APART * report["joint_ppl_lower"]:
        reasons.append("the bounds are more than 2% apart: take more samples")
    sizes = [row["joint"] for row in report.get("curve", [])]
    if len(sizes) > 1 and not 1 / STILL_MOVING < sizes[-1] / sizes[-2] < STILL_MOVING:
        reasons.append("the curve over the number of samples has not become level: take more")
    reasons += _missed(report)
    if "conditional_nce" in report and abs(report["mean_log_z"]) > NOT_NORMALISED:
        why = "the energy is not self-normalised (overfitting, or ranking_nce)"
        mean = f"mean log Z is {report['mean_log_z']:.2f}"
        reasons.append(f"{mean}, but 0 once conditional NCE has converged: {why}")
    return reasons
