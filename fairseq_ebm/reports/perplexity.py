"""Pictures and a table of a report of fairseq-ebm-eval-lm: the papers' figures of bounds."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Iterator, List, Optional, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from ..evaluation.uncertainty import in_words
from .figures import BLUE, NAVY, ORANGE, new_figure, save
from .page import number, percent


def draw(report: Mapping[str, Any], out: Path) -> List[Path]:
    """Beside OUT.json: OUT.curve.svg, OUT.positions.svg."""
    return [save(figure, out, name) for name, figure in pictures(report)]


def pictures(report: Mapping[str, Any]) -> Iterator[Tuple[str, Figure]]:
    """Of what the report has."""
    for key, name, draw_on in (("curve", "curve", _curve), ("per_position", "positions", _gains)):
        if key in report:
            figure = new_figure()
            draw_on(figure.add_subplot(), report)
            yield name, figure


def _curve(axes: Axes, report: Mapping[str, Any]) -> None:
    """Perplexity against the number of samples."""
    rows = report["curve"]
    n = [row["num_samples"] for row in rows]
    lower, upper, joint = (_numbers(rows, name) for name in ("lower", "upper", "joint"))
    axes.fill_between(n, *_luck(rows), color=NAVY, alpha=0.15, linewidth=0, label="95% of sampling")
    axes.fill_between(n, lower, upper, color=BLUE, alpha=0.25, linewidth=0)
    axes.plot(n, lower, color=BLUE, marker="^", label="lower bound")
    axes.plot(n, upper, color=BLUE, marker="v", label="upper bound")
    axes.plot(n, joint, color=NAVY, linestyle="--", label="jackknife")
    axes.set_xscale("log")
    axes.set_xticks(n)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("samples of each window")
    axes.set_ylabel("perplexity of the joint model")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title(
        f"{report['num_windows']:,} windows; base LM {report['base_ppl']:.2f}", fontsize="medium"
    )
    axes.grid(alpha=0.3)
    axes.legend()


def _numbers(rows: Sequence[Mapping[str, Any]], name: str) -> List[float]:
    """NaN where one is not known: matplotlib leaves it out."""
    return [math.nan if row[name] is None else row[name] for row in rows]


def _luck(rows: Sequence[Mapping[str, Any]]) -> Tuple[List[float], List[float]]:
    """The ends of the intervals of sampling."""
    between = [row["sampling_ci95"] or (math.nan, math.nan) for row in rows]
    return [low for low, _ in between], [high for _, high in between]


def _gains(axes: Axes, report: Mapping[str, Any]) -> None:
    """1 - joint / base perplexity at every position."""
    rows = report["per_position"]
    at = [row["position"] for row in rows]
    base = [row["base_ppl"] for row in rows]

    def gain(values: Sequence[float]) -> List[float]:
        return [1 - value / of_base for value, of_base in zip(values, base)]

    low, high = map(gain, _luck(rows))
    axes.fill_between(at, low, high, color=NAVY, alpha=0.15, linewidth=0, label="95% of sampling")
    least, most = (gain(_numbers(rows, bound)) for bound in ("upper", "lower"))
    axes.fill_between(at, least, most, color=BLUE, alpha=0.35, linewidth=0, label="bounds")
    axes.plot(at, gain(_numbers(rows, "joint")), color=NAVY, linewidth=1)
    if "last_position" in report:
        last = report["last_position"]
        gain = 1 - last["exact"] / last["base_ppl"]
        axes.plot(at[-1], gain, color=ORANGE, marker="o", linestyle="", label="exact")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("position in the window")
    axes.set_ylabel("perplexity below the base LM's")
    axes.set_title(
        f"{report['num_windows']:,} windows, {report['num_samples']:,} samples at each position",
        fontsize="medium",
    )
    axes.grid(alpha=0.3)
    axes.legend()


def table(report: Mapping[str, Any], windows: int) -> str:
    """``windows``: how many were to be done."""
    rows = [("", "perplexity", "95% interval", "")]
    names = {
        "base_ppl": "base",
        "joint_ppl_lower": "joint, lower bound",
        "joint_ppl": "joint, jackknife",
        "joint_ppl_upper": "joint, upper bound",
    }
    for name, words in names.items():
        if name in report:
            rows.append((words, number(report[name], 3), _interval(report[f"{name}_ci95"]), ""))
    if "joint_ppl_sampling_ci95" in report:
        rows[0] = (*rows[0][:3], "of sampling alone")
        rows[3] = (*rows[3][:3], _interval(report["joint_ppl_sampling_ci95"]))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d}".rstrip() for a, b, c, d in rows
    ]
    done = f"{report['num_windows']:,}" + (f" of {windows:,}" if "partial" in report else "")
    if "gain" in report:
        lines.append(f"gain: upper bound {_gain(report)} below the base")
        lines.append(
            f"{done} windows, {_samples(report)}; effective "
            f"{report['ess']['mean']:.1f} (least {report['ess']['min']:.1f}); mean log Z "
            f"{number(report['mean_log_z'], 3)}"
        )
        lines.append(in_words(report["error"]))
        nce = report["conditional_nce"]
        lines.append(
            f"conditional NCE {number(nce['loss'], 4)} nats, {number(nce['normalised'], 4)} with Z "
            f"set to 1 for each prefix; {2 * math.log(2):.4f} knows nothing"
        )
    else:
        lines.append(f"{done} windows")
    of = " of the upper bound" * ("gain" in report)
    lines += [
        f"against {other['name']}, {other['ppl']:.3f}: gain{of} {_gain(other)}"
        for other in report.get("baselines", [])
    ]
    lines += [f"warning: {text}" for text in report.get("warnings", [])]
    return "\n".join(lines)


def _samples(report: Mapping[str, Any]) -> str:
    each = f"{report['num_samples']:,} samples each"
    if "samples" not in report:
        return each
    taken = report["samples"]
    return f"{each} on average ({taken['min']:,} to {taken['max']:,})"


def _gain(report: Mapping[str, Any]) -> str:
    between = report["gain_ci95"]
    ends = [] if between is None else [percent(end, 2) for end in between]
    share = f" ({' to '.join(ends)})" if ends else ""
    return f"{percent(report['gain'], 2)}{share}"


def _interval(between: Optional[Sequence[float]]) -> str:
    return "" if between is None else f"{number(between[0], 3)} to {number(between[1], 3)}"
