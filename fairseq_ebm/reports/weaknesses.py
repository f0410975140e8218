"""What moves an energy's verdict. P2 figures 1 and 2, appendix F."""

from collections.abc import Iterator
from typing import Any, Dict, List

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..options import Record
from .figures import BLUE, GREY, NAVY, ORANGE, describe
from .page import Item, Named, Table, number, percent, plain

COLOURS = {"entity": ORANGE, "common": BLUE, "swap": NAVY}
JUDGES = {"energy": "energy", "nll": "-log P of the LM, nats a token"}
KINDS = {"real": BLUE, "generated": ORANGE}
POINTS = {"as it is": GREY, "one edit": BLUE, "all edits": ORANGE}
TOLD = ("accuracy", "found", "AUROC")


def items(named: Named) -> Iterator[Item]:
    record, threshold = named.record, named.record["threshold"]
    origin = "of the subset valid" if threshold["from"] == "valid" else "not set on valid text"
    windows = f"{record['num_windows']:,} real windows, as many generated"
    yield named.says(f"{windows}; threshold {threshold['value']:.3f}, {origin}")
    yield _perturbations(record["perturbations"])
    if record["token_edits"]:
        yield _edits(record["token_edits"])
        yield _single_edits(record["token_edits"])
    else:
        yield f"no token edits: {record['no_edits']}"
    rows = [[row["attack"], *_told(row), percent(row["changed"])] for row in record["attacks"]]
    yield Table(["attack on generated text", *TOLD, "windows changed"], rows)
    rows = [[str(row["visible_tokens"]), *_told(row)] for row in record["visible_tokens"]]
    unseen = "visible tokens: only for text generated left to right"
    yield Table(["generated tokens seen", *TOLD], rows) if rows else unseen
    yield from _pictures(named)


def _told(row: Record) -> List[str]:
    return [percent(row["accuracy"]), percent(row["found"]), number(row["auroc"], 3)]


def _judges(section: Record) -> List[str]:
    return [name for name in JUDGES if name in section["baseline"]]


def _perturbations(section: Record) -> Table:
    """Mean changes over all positions, and at the one where the energy changes most."""
    judges, summary = _judges(section), section["summary"]
    heads = [f"one {section['unit']} changed", *(f"change of {judge}" for judge in judges)]
    rows = [[row["perturbation"], *(f"{row[judge]:+.3f}" for judge in judges)] for row in summary]
    if section["replaced"]:  # wherever it stands
        note = f"of {section['replaced']!r}, in {section['num_windows']:,} windows that have it"
        return Table(heads, rows, note)
    most = [f"{row['most_at']} ({row['most']:+.3f})" for row in summary]
    return Table([*heads, "energy most at position"], [[*row, at] for row, at in zip(rows, most)])


def _edits(section: Record) -> Table:
    heads = ["tokens edited by gradients", "verdicts flipped", "after edits", "same sign"]
    rows = []
    for kind, part in section.items():
        flipped, same_sign = (percent(part[name]) for name in ("flipped", "sign_agreement"))
        rows.append([kind, flipped, number(part["mean_edits_to_flip"], 1), same_sign])
    by_edits = [part["by_edits"] for part in section.values()]
    if all("lm_ppl" in steps[-1] for steps in by_edits):
        heads.append("LM perplexity")
        for row, steps in zip(rows, by_edits):
            row.append(f"{steps[0]['lm_ppl']:.2f} to {steps[-1]['lm_ppl']:.2f}")
    most = max(map(len, by_edits)) - 1
    note = f"at most {most} tokens of each text; first order predicts the sign of an edit's effect"
    return Table(heads, rows, note)


def _single_edits(section: Record) -> Table:
    """Medians: a few perplexities would rule a mean."""
    singles = {kind: part["single_edits"] for kind, part in section.items()}
    known = [each["medians"]["as it is"] for each in singles.values()]
    words_of = {"energy": "energy", "lm_ppl": "perplexity"}
    used = {n: words for n, words in words_of.items() if any(each.get(n) for each in known)}
    rows = []
    for kind, each in singles.items():
        two = [each["medians"][points] for points in ("as it is", "one edit")]
        cells = [number(medians.get(name)) for name in used for medians in two]
        rows.append([kind, *cells, f"{each['num_edits']:,}"])
    heads = [head for words in used.values() for head in (words, f"{words} with it")]
    return Table(["each edit alone", *heads, "edits"], rows, "medians")


def _pictures(named: Named) -> Iterator[Item]:
    record, section = named.record, named.record["perturbations"]
    words = "the mean of energy and LM when one word or token is changed"
    panels = len(_judges(section))
    yield named.picture("perturbations", words, _draw_perturbations, section, panels=panels)
    words = "energies and verdicts when tokens are changed one by one, chosen by gradients"
    if record["token_edits"]:
        yield named.picture("edits", words, _draw_edits, record, panels=2)
    if record["token_edits"] and "nll" in section["baseline"]:
        words = "energy and LM perplexity of texts with one of their edits alone, and with all"
        yield named.picture("singles", words, _draw_singles, record, panels=2)
    words = "accuracy when generated text is disguised"
    yield named.picture("attacks", words, _draw_attacks, record)
    if record["visible_tokens"]:
        words = "accuracy when only the first tokens of the continuation are seen"
        yield named.picture("visible", words, _draw_visible, record)


def _legend_above(figure: Figure) -> None:
    """One for all axes, of the first of them."""
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)


def _draw_perturbations(section: Record, figure: Figure) -> None:
    judges = _judges(section)
    for axes, name in zip(figure.subplots(len(judges), squeeze=False)[:, 0], judges):
        _perturbed(axes, section, name)
    _legend_above(figure)


def _perturbed(axes: Axes, section: Record, judge: str) -> None:
    """The judge's mean by position, or of one chosen word; bands and bars are standard errors of
    the change, paired by window."""
    axes.axhline(section["baseline"][judge]["mean"], color=GREY, linestyle="--", label="as it is")
    for kind in [*section["put_in"], "swap"]:
        rows = [row for row in section["rows"] if row["perturbation"] == kind]
        at = [row["position"] for row in rows]
        values = [row[judge]["mean"] for row in rows]
        errors = [row[f"{judge}_change"]["standard_error"] or 0.0 for row in rows]
        unit = section["put_in"].get(kind)
        label = "neighbours swapped" if unit is None else f"{kind} {unit.strip() or unit!r}"
        look: Dict[str, Any] = {"color": COLOURS[kind], "label": plain(label)}
        if section["replaced"]:
            axes.errorbar([kind], values, errors, marker="o", **look)
            continue
        low, high = ([v + sign * e for v, e in zip(values, errors)] for sign in (-1, 1))
        axes.fill_between(at, low, high, color=COLOURS[kind], alpha=0.2, linewidth=0)
        axes.plot(at, values, marker=".", **look)
    where = f"position of the changed {section['unit']}, in tokens"
    if section["replaced"]:
        where = f"in the place of {section['replaced']}, {section['num_windows']:,} windows"
    describe(axes, xlabel=plain(where), ylabel=JUDGES[judge])


def _draw_edits(record: Record, figure: Figure) -> None:
    """Energies above, verdicts below."""
    above, below = figure.subplots(2)
    for kind, colour in KINDS.items():
        rows = record["token_edits"][kind]["by_edits"]
        at, values = [r["edits"] for r in rows], [r["energy"]["mean"] for r in rows]
        errors = [r["energy"]["standard_error"] or 0.0 for r in rows]
        look: Dict[str, Any] = {"color": colour, "marker": "o"}
        above.errorbar(at, values, errors, capsize=2, label=f"{kind} text", **look)
        known = [r for r in rows if r["flipped"] is not None]
        below.plot([r["edits"] for r in known], [r["flipped"] for r in known], **look)
    above.axhline(record["threshold"]["value"], color=GREY, linestyle="--", label="threshold")
    describe(above, ylabel="mean energy")
    describe(below, percent=True, ylabel="right verdicts turned", ylim=(-0.02, 1.02))
    for axes in (above, below):
        axes.set_xlabel("tokens edited")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_above(figure)


def _draw_singles(record: Record, figure: Figure) -> None:
    for axes, kind in zip(figure.subplots(2, sharex=True), KINDS):
        singles = record["token_edits"][kind]["single_edits"]
        for name, points in singles["points"].items():
            at = points["energy"], points.get("lm_ppl", [])
            axes.scatter(*at, s=8, color=POINTS[name], alpha=0.5, linewidths=0, label=name)
        axes.axvline(record["threshold"]["value"], color=GREY, linestyle="--", label="threshold")
        axes.set_yscale("log")
        describe(axes, xlabel="energy", ylabel="LM perplexity", title=f"{kind} text")
    _legend_above(figure)


def _draw_attacks(record: Record, figure: Figure) -> None:
    axes, rows = figure.add_subplot(), record["attacks"][::-1]  # barh counts from below
    names = [row["attack"] for row in rows]
    colours = [GREY if name in ("none", "encoded again") else BLUE for name in names]
    bars = axes.barh(names, [row["accuracy"] for row in rows], color=colours)
    axes.bar_label(bars, fmt=lambda share: f"{share:.1%}", padding=3, fontsize="small")
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set(xlim=(0, 1.1), xticks=[0, 0.25, 0.5, 0.75, 1], xlabel="balanced accuracy")
    axes.set_title(f"{record['num_windows']:,} windows of each kind")


def _draw_visible(record: Record, figure: Figure) -> None:
    axes, rows = figure.add_subplot(), record["visible_tokens"]
    at = [row["visible_tokens"] for row in rows]
    for name, label, colour in (("accuracy", "accuracy", BLUE), ("auroc", "AUROC", ORANGE)):
        axes.plot(at, [row[name] for row in rows], color=colour, marker="o", label=label)
    axes.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
    title = f"{record['num_windows']:,} windows of each kind"
    describe(axes, percent=True, xlabel="generated tokens that are seen", title=title, xticks=at)
    axes.legend()
