"""What the models write: distinct n-grams and densities (P1 figures 2 right and 3); and the
likeliest next tokens of both, each renormalised among its own (P1 table 3)."""

from collections.abc import Iterator
from typing import List

from matplotlib.figure import Figure

from ..options import Record
from .figures import BLUE, GREY, ORANGE
from .page import Item, Named, Table, between, number, percent

KINDS = (("real", "real", GREY), ("base", "base LM", ORANGE), ("joint", "joint", BLUE))
MODELS = {"base": "base LM", "joint": "joint model"}
NEXT = ["base LM", "of its top", "joint", "of its top", "among all (95% of sampling)", "bounds"]


def items(named: Named) -> Iterator[Item]:
    record, densities = named.record, named.record["densities"]
    ngrams = record["unique_ngrams"]
    rows = [[f"{row['n']}-grams", *(percent(row[k], 2) for k, _, _ in KINDS)] for row in ngrams]
    count = f"{record['num_prompts']:,} continuations each"
    note = named.says(f"distinct n-grams, of all, in {count}.")
    yield Table(["", *(label for _, label, _ in KINDS)], rows, note)
    unknown = named.says("no densities: proposals were truncated, and Z is not known.")
    yield _densities(named, densities) if densities else unknown
    if record.get("nearer"):  # older reports have none
        yield _nearer(named, record["nearer"])
    words = "distinct n-grams of real text, of the base model's and of the joint model's"
    yield named.picture("ngrams", words, _draw_ngrams, record)
    if densities:
        words = "log-probability of each model's own text and of real text"
        yield named.picture("densities", words, _draw_densities, densities, panels=2)


def _densities(named: Named, densities: Record) -> Table:
    rows = []
    for name, words in MODELS.items():
        difference, error = (densities[name][key] for key in ("difference", "standard_error"))
        rows.append([words, number(difference) + ("" if error is None else f" ({error:.2f})")])
    note = "mean log-probability of a model's own text above that of real text, nats; standard "
    note += "error in brackets. The papers found 21.64 and 6.20 in their setting."
    return Table(["", "own text − real text"], rows, named.says(note))


def _nearer(named: Named, gaps: List[Record]) -> Table:
    rows = []
    for row in gaps:
        scale, unit = (1, " nats") if row["of"] == "log P" else (100, "%")
        far = [number(None if row[k] is None else scale * row[k]) for k in ("base", "joint", "gap")]
        gap = f"{far[2]}{unit}{between(row['gap_ci95'], scale=scale)}"
        rows.append([row["of"], far[0] + unit, far[1] + unit, gap])
    note = (
        "distance from real text, in the figures of the tables above; 95% intervals over prompts."
    )
    return Table(["", "base LM", "joint", "nearer by"], rows, named.says(note))


def _draw_ngrams(record: Record, figure: Figure) -> None:
    axes, rows = figure.add_subplot(), record["unique_ngrams"]
    for i, (kind, label, colour) in enumerate(KINDS):
        at = [place + (i - 1) * 0.27 for place in range(len(rows))]
        bars = axes.bar(at, [100 * row[kind] for row in rows], 0.25, color=colour, label=label)
        axes.bar_label(bars, fmt="%.1f", fontsize="small", padding=2)
    axes.set_xticks(range(len(rows)), [f"{row['n']}-grams" for row in rows])
    title = f"{record['num_prompts']:,} continuations of each kind"
    axes.set(ylabel="distinct, % of all", title=title)
    axes.margins(y=0.15)
    figure.legend(loc="outside upper center", ncols=len(KINDS))


def _draw_densities(densities: Record, figure: Figure) -> None:
    for axes, (model, words) in zip(figure.subplots(2, sharex=True), MODELS.items()):
        values = densities[model]
        for name, label, colour in (("real", "real text", GREY), ("samples", "own samples", BLUE)):
            axes.hist(values[name], bins=40, density=True, color=colour, alpha=0.55, label=label)
        axes.set_title(f"{words}: means differ by {values['difference']:.2f}")
        axes.set(xlabel=f"log P of the {words}, nats", ylabel="density")
        axes.legend()


def next_token(named: Named) -> Iterator[Item]:
    record, rows = named.record, []
    for lm, joint in ((row["lm"], row["joint"]) for row in record["top"]):
        among_top = [cell for m in (lm, joint) for cell in (repr(m["text"]), percent(m["share"]))]
        among_all = percent(joint["joint"], 2) + between(joint["sampling_ci95"], 2, 100)
        bounds = f"{percent(joint['joint_lower'], 2)} to {percent(joint['joint_upper'], 2)}"
        rows.append([*among_top, among_all, bounds])
    note = named.says(f"after {record['prefix']!r}; {record['num_samples']:,} completions of each ")
    note += f"of {len(record['candidates']):,} candidates. The likeliest {len(rows)} of each "
    note += "model, renormalised among themselves; the last two columns are among all candidates."
    yield Table(NEXT, rows, note)
    yield from (named.says(f"warning: {warning}") for warning in record["warnings"])
