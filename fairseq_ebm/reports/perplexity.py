"""Perplexities and their bounds. P1 table 1, figures 1 and 2 left."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import List, Optional

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from ..options import Record
from .figures import BLUE, NAVY, ORANGE, describe
from .page import Item, Named, Table, between, measured, number, share_of

NOTE = (
    "Perplexities of the continuations of windows, with 95% intervals: over windows, which holds "
    "the luck of sampling too; or of sampling alone, for these windows."
)
HEADS = [
    "record", "language model", "joint model, bounds", "joint model, of sampling alone",
    "gain of the upper bound", "windows × samples", "effective samples",
]  # fmt: skip
CURVE = "bounds on the joint perplexity against the number of samples of each window"
GAINS = "how far the joint perplexity is below the base model's, at every position"
REMEDIES = {
    "--max-windows": "; more windows would lower it, more samples hardly",
    "--num-samples": "; more samples would lower it",
    "both": "; more windows and more samples would lower it",
    None: "",
}


def items(records: Sequence[Named]) -> List[Item]:
    about = (item for each in records for item in _about(each))
    return [_table(records), *_baselines(records), *about]


def _table(records: Sequence[Named]) -> Table:
    rows = [[each.name, *_cells(each.record)] for each in records]
    theirs = [each.paper.get("joint_ppl", "") for each in records]
    if any(theirs):
        rows = [[*row, their] for row, their in zip(rows, theirs)]
    return Table([*HEADS, "paper"][: len(rows[0])], rows, NOTE)


def _cells(record: Record) -> Iterator[str]:
    yield measured(record, "base_ppl")
    yield _bounds(record) if "joint_ppl" in record else "–"
    yield number(record.get("joint_ppl")) + between(record.get("joint_ppl_sampling_ci95"))
    yield share_of(record, "gain", 2)
    yield _windows(record)
    yield number(record["ess"]["mean"], 1) if "joint_ppl" in record else "–"


def _bounds(record: Record) -> str:
    """With an interval from the lower end of the lower bound's to the upper end of the upper's."""
    ends = (number(record[f"joint_ppl_{bound}"]) for bound in ("lower", "upper"))
    low, high = (record[f"joint_ppl_{bound}_ci95"] for bound in ("lower", "upper"))
    return " to ".join(ends) + between(low and high and (low[0], high[1]))


def _windows(record: Record) -> str:
    windows = f"{record['num_windows']:,}"
    if "partial" in record:
        windows += f" of {record['partial']['windows']:,}"
    if "joint_ppl" in record:
        windows += f" × {record['num_samples']:,}"
        if "samples" in record:
            windows += f" ({record['samples']['min']:,} to {record['samples']['max']:,})"
    return windows


def _baselines(records: Sequence[Named]) -> Iterator[Table]:
    rows = []
    for named in records:
        ours = (named.name or "this model") + ", upper bound" * ("joint_ppl" in named.record)
        for other in named.record.get("baselines", []):
            theirs = f"{other['name']}, {other['ppl']:,.2f}"
            rows.append([ours, theirs, share_of(other, "gain", 2)])
    if rows:
        note = "By how much its perplexity is lower, window by window; below 0 where it is higher."
        yield Table(["record", "against", "gain"], rows, note)


def _formula(named: Named) -> Iterator[Item]:
    """What the joint model is, if it is more than a language model and an energy."""
    made_by = named.record.get("provenance", {})
    if "formula" in made_by:
        words = f"the joint model is {made_by['formula']['is']} / Z, numbered as in --path"
        if "fitted" in made_by:
            fitted = made_by["fitted"]
            windows = f"{fitted['num_windows']:,} windows of {fitted['subset']}"
            words += f"; weights fitted on {windows}, each {fitted['nats']:.3f} nats likelier so"
        yield named.says(f"{words}.")


def _about(named: Named) -> Iterator[Item]:
    record = named.record
    yield from _formula(named)
    if "joint_ppl" in record:
        yield named.says(f"{error_in_words(record['error'])}.")
        nce = record.get("conditional_nce")
        if nce is not None:
            loss, own = number(nce["loss"], 4), number(nce["normalised"], 4)
            words = f"conditional NCE {loss} nats, {own} with Z set to 1 for each prefix; "
            words += f"{2 * math.log(2):.4f} knows nothing; mean log Z "
            yield named.says(f"{words}{number(record['mean_log_z'], 3)}.")
    if "last_position" in record:
        last = record["last_position"]
        joint = number(last["joint"], 3) + between(last["sampling_ci95"], 3)
        words = f"at the last position the joint perplexity is {last['exact']:.3f} exactly; samples"
        yield named.says(f"{words} say {joint}, the base model has {last['base_ppl']:.3f}.")
    for warning in record.get("warnings", []):
        yield named.says(f"warning: {warning}")
    if "curve" in record:
        yield named.picture("curve", CURVE, _draw_curve, record)
    if "per_position" in record:
        yield named.picture("positions", GAINS, _draw_gains, record)


def error_in_words(error: Mapping[str, Optional[float]]) -> str:
    """Where the error of a joint perplexity comes from."""
    total, windows, samples = (
        "unknown" if error[name] is None else f"{error[name]:.2%}"
        for name in ("total", "windows", "samples")
    )
    parts = f"{windows} from the choice of windows, {samples} from sampling"
    remedy = REMEDIES[error["raise"]]  # type: ignore[index]
    return f"one standard error of the joint perplexity is {total}: {parts}{remedy}"


def _draw_curve(record: Record, figure: Figure) -> None:
    """Perplexity against the number of samples."""
    axes, rows = figure.add_subplot(), record["curve"]
    n = [row["num_samples"] for row in rows]
    lower, upper, joint, low, high = _columns(rows)
    axes.fill_between(n, low, high, color=NAVY, alpha=0.15, linewidth=0, label="95% of sampling")
    axes.fill_between(n, lower, upper, color=BLUE, alpha=0.25, linewidth=0)
    axes.plot(n, lower, color=BLUE, marker="^", label="lower bound")
    axes.plot(n, upper, color=BLUE, marker="v", label="upper bound")
    axes.plot(n, joint, color=NAVY, linestyle="--", label="jackknife")
    axes.set(xscale="log", xticks=n)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title(f"{record['num_windows']:,} windows; base LM {record['base_ppl']:.2f}")
    describe(axes, xlabel="samples of each window", ylabel="perplexity of the joint model")
    axes.legend()


def _columns(rows: Sequence[Record]) -> Iterator[List[float]]:
    """Bounds, estimate and the ends of its intervals of sampling; NaN where one is not known:
    matplotlib leaves it out."""
    for name in ("lower", "upper", "joint"):
        yield [math.nan if row[name] is None else row[name] for row in rows]
    for end in (0, 1):
        yield [(row["sampling_ci95"] or (math.nan, math.nan))[end] for row in rows]


def _draw_gains(record: Record, figure: Figure) -> None:
    """1 - joint / base perplexity at every position."""
    axes, rows = figure.add_subplot(), record["per_position"]
    at = [row["position"] for row in rows]
    most, least, joint, low, high = (
        [1 - value / row["base_ppl"] for value, row in zip(values, rows)]
        for values in _columns(rows)
    )
    axes.fill_between(at, low, high, color=NAVY, alpha=0.15, linewidth=0, label="95% of sampling")
    axes.fill_between(at, least, most, color=BLUE, alpha=0.35, linewidth=0, label="bounds")
    axes.plot(at, joint, color=NAVY, linewidth=1)
    if "last_position" in record:
        gain = 1 - record["last_position"]["exact"] / record["last_position"]["base_ppl"]
        axes.plot(at[-1], gain, color=ORANGE, marker="o", linestyle="", label="exact")
    axes.axhline(0, color="black", linewidth=0.8)
    windows, samples = (f"{record[name]:,}" for name in ("num_windows", "num_samples"))
    axes.set_title(f"{windows} windows, {samples} samples at each position")
    labels = {"xlabel": "position in the window", "ylabel": "perplexity below the base LM's"}
    describe(axes, percent=True, **labels)
    axes.legend()
