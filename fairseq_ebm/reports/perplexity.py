"""Perplexities and their bounds. P1 table 1, figures 1 and 2 left."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, List, Optional, Tuple

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from .figures import BLUE, NAVY, ORANGE
from .page import Item, Named, Paper, Picture, Record, Table, between, measured, number, percent

NOTE = (
    "Perplexities of the continuations of windows, with 95% intervals: over windows, which holds "
    "the luck of sampling too; or of sampling alone, for these windows."
)
PICTURES = {
    "curve": "bounds on the joint perplexity against the number of samples of each window",
    "positions": "how far the joint perplexity is below the base model's, at every position",
}
REMEDIES = {
    "--max-windows": "; more windows would lower it, more samples hardly",
    "--num-samples": "; more samples would lower it",
    "both": "; more windows and more samples would lower it",
    None: "",
}


def items(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [
        _table(records, paper),
        *_baselines(records),
        *(item for each in records for item in _items(each)),
    ]


def _table(records: Sequence[Named], paper: Paper) -> Table:
    columns = {
        "record": [name for name, _ in records],
        "language model": [measured(r, "base_ppl") for _, r in records],
        "joint model, bounds": [_bounds(r) for _, r in records],
        "joint model, of sampling alone": [
            number(r.get("joint_ppl")) + between(r.get("joint_ppl_sampling_ci95"))
            for _, r in records
        ],
        "gain of the upper bound": [_gain(r) for _, r in records],
        "windows × samples": [_windows(r) for _, r in records],
        "effective samples": [
            number(r["ess"]["mean"], 1) if _is_joint(r) else "–" for _, r in records
        ],
    }
    theirs = [paper.get(name, {}).get("joint_ppl", "") for name, _ in records]
    if any(theirs):
        columns["paper"] = theirs
    return Table(list(columns), [list(row) for row in zip(*columns.values())], NOTE)


def _is_joint(record: Record) -> bool:
    return "joint_ppl" in record


def _bounds(record: Record) -> str:
    """With an interval from the lower end of the lower bound's to the upper end of the upper's."""
    if not _is_joint(record):
        return "–"
    ends = (number(record[f"joint_ppl_{bound}"]) for bound in ("lower", "upper"))
    low, high = (record[f"joint_ppl_{bound}_ci95"] for bound in ("lower", "upper"))
    return " to ".join(ends) + between(low and high and (low[0], high[1]))


def _gain(record: Record) -> str:
    return percent(record.get("gain"), 2) + between(record.get("gain_ci95"), 2, 100)


def _windows(record: Record) -> str:
    windows = f"{record['num_windows']:,}"
    if "partial" in record:
        windows += f" of {record['partial']['windows']:,}"
    if not _is_joint(record):
        return windows
    samples = f"{windows} × {record['num_samples']:,}"
    if "samples" in record:
        samples += f" ({record['samples']['min']:,} to {record['samples']['max']:,})"
    return samples


def _baselines(records: Sequence[Named]) -> Iterator[Table]:
    rows = [
        [
            f"{name}, upper bound" if "joint_ppl" in r else name,
            f"{other['name']}, {other['ppl']:,.2f}",
            _gain(other),
        ]
        for name, r in records
        for other in r.get("baselines", [])
    ]
    if rows:
        note = "Compared window by window; below 0 where the other one is better."
        yield Table(["record", "against", "its perplexity is below that by"], rows, note)


def _items(named: Named) -> Iterator[Item]:
    record = named.record
    if _is_joint(record):
        yield named.says(f"{error_in_words(record['error'])}.")
        nce = record.get("conditional_nce")
        if nce is not None:
            yield named.says(
                f"conditional NCE {number(nce['loss'], 4)} nats, {number(nce['normalised'], 4)} "
                f"with Z set to 1 for each prefix; {2 * math.log(2):.4f} knows nothing; mean log Z "
                f"{number(record['mean_log_z'], 3)}."
            )
    if "last_position" in record:
        last = record["last_position"]
        yield named.says(
            f"at the last position the joint perplexity is {last['exact']:.3f} exactly; samples "
            f"say {number(last['joint'], 3)}{between(last['sampling_ci95'], 3)}, the base model "
            f"has {last['base_ppl']:.3f}."
        )
    for warning in record.get("warnings", []):
        yield named.says(f"warning: {warning}")
    if "curve" in record:
        yield Picture("curve", named.says(PICTURES["curve"]), partial(_draw_curve, record))
    if "per_position" in record:
        words = named.says(PICTURES["positions"])
        yield Picture("positions", words, partial(_draw_gains, record))


def error_in_words(error: Mapping[str, Optional[float]]) -> str:
    """Where the error of a joint perplexity comes from."""
    total, windows, samples = (
        "unknown" if error[name] is None else f"{error[name]:.2%}"
        for name in ("total", "windows", "samples")
    )
    return (
        f"one standard error of the joint perplexity is {total}: {windows} from the choice of "
        f"windows, {samples} from sampling{REMEDIES[error['raise']]}"  # type: ignore[index]
    )


def _draw_curve(report: Mapping[str, Any], figure: Figure) -> None:
    """Perplexity against the number of samples."""
    axes = figure.add_subplot()
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


def _draw_gains(report: Mapping[str, Any], figure: Figure) -> None:
    """1 - joint / base perplexity at every position."""
    axes = figure.add_subplot()
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
