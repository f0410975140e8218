"""What moves an energy's verdict. P2 figures 1 and 2, appendix F."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import List

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .figures import BLUE, GREY, NAVY, ORANGE
from .page import Item, Named, Paper, Picture, Record, Table, number, percent, plain

COLOURS = {"entity": ORANGE, "common": BLUE, "swap": NAVY}
JUDGES = {"energy": "energy", "nll": "-log P of the LM, nats a token"}
KINDS = {"real": BLUE, "generated": ORANGE}
POINTS = {"as it is": GREY, "one edit": BLUE, "all edits": ORANGE}


def items(records: Sequence[Named], paper: Paper) -> List[Item]:
    return [item for each in records for item in (*_tables(each), *_pictures(each))]


def _tables(named: Named) -> Iterator[Item]:
    record, threshold = named.record, named.record["threshold"]
    origin = "of the subset valid" if threshold["from"] == "valid" else "not set on valid text"
    yield named.says(
        f"{record['num_windows']:,} real windows, as many generated; threshold "
        f"{threshold['value']:.3f}, {origin}"
    )
    yield _perturbations(record["perturbations"])
    edits = record["token_edits"]
    yield _edits(edits)
    yield _single_edits(edits)
    rows = [
        [row["attack"], *(percent(row[key]) for key in ("accuracy", "found")),
         number(row["auroc"], 3), percent(row["changed"])]
        for row in record["attacks"]
    ]  # fmt: skip
    heads = ["attack on generated text", "accuracy", "found", "AUROC", "windows changed"]
    yield Table(heads, rows)
    if not record["visible_tokens"]:
        yield "visible tokens: only for text generated left to right"
        return
    rows = [
        [str(row["visible_tokens"]), *(percent(row[key]) for key in ("accuracy", "found")),
         number(row["auroc"], 3)]
        for row in record["visible_tokens"]
    ]  # fmt: skip
    yield Table(["generated tokens seen", "accuracy", "found", "AUROC"], rows)


def _perturbations(section: Record) -> Table:
    """Mean changes over all positions, and at the one where the energy changes most."""
    judges = [name for name in JUDGES if name in section["baseline"]]
    rows = [
        [
            row["perturbation"],
            *(f"{row[judge]:+.3f}" for judge in judges),
            *([] if section["replaced"] else [f"{row['most_at']} ({row['most']:+.3f})"]),
        ]
        for row in section["summary"]
    ]
    heads = [f"one {section['unit']} changed", *(f"change of {judge}" for judge in judges)]
    if section["replaced"]:
        note = f"of {section['replaced']!r}, in {section['num_windows']:,} windows that have it"
        return Table(heads, rows, note)
    return Table([*heads, "energy most at position"], rows)


def _edits(section: Record) -> Table:
    heads = ["tokens edited by gradients", "verdicts flipped", "after edits", "same sign"]
    has_lm = all("lm_ppl" in part["by_edits"][-1] for part in section.values())
    rows = [
        [
            kind,
            percent(part["flipped"]),
            number(part["mean_edits_to_flip"], 1),
            percent(part["sign_agreement"]),
            *(
                [f"{part['by_edits'][0]['lm_ppl']:.2f} to {part['by_edits'][-1]['lm_ppl']:.2f}"]
                if has_lm
                else []
            ),
        ]
        for kind, part in section.items()
    ]
    most = max(len(part["by_edits"]) - 1 for part in section.values())
    note = f"at most {most} tokens of each text; first order predicts the sign of an edit's effect"
    return Table([*heads, "LM perplexity"] if has_lm else heads, rows, note)


def _single_edits(section: Record) -> Table:
    """Medians: a few perplexities would rule a mean."""
    columns = [("energy", "energy"), ("lm_ppl", "perplexity")]
    used = [
        (name, words)
        for name, words in columns
        if any(part["single_edits"]["medians"]["as it is"].get(name) for part in section.values())
    ]
    rows = []
    for kind, part in section.items():
        medians = part["single_edits"]["medians"]
        cells = [
            number(medians[points].get(name))
            for name, _ in used
            for points in ("as it is", "one edit")
        ]
        rows.append([kind, *cells, f"{part['single_edits']['num_edits']:,}"])
    heads = [head for _, words in used for head in (words, f"{words} with it")]
    return Table(["each edit alone", *heads, "edits"], rows, "medians")


def _pictures(named: Named) -> Iterator[Picture]:
    record, section = named.record, named.record["perturbations"]
    judges = [name for name in JUDGES if name in section["baseline"]]
    words = "the mean of energy and LM when one word or token is changed"
    draw = partial(_draw_perturbations, section, judges)
    yield Picture("perturbations", named.says(words), draw, len(judges))
    words = "energies and verdicts when tokens are changed one by one, chosen by gradients"
    yield Picture("edits", named.says(words), partial(_draw_edits, record), 2)
    if "nll" in section["baseline"]:
        words = "energy and LM perplexity of texts with one of their edits alone, and with all"
        yield Picture("singles", named.says(words), partial(_draw_singles, record), 2)
    words = "accuracy when generated text is disguised"
    yield Picture("attacks", named.says(words), partial(_draw_attacks, record))
    if record["visible_tokens"]:
        words = "accuracy when only the first tokens of the continuation are seen"
        yield Picture("visible", named.says(words), partial(_draw_visible, record))


def _draw_perturbations(section: Record, judges: Sequence[str], figure: Figure) -> None:
    for axes, name in zip(figure.subplots(len(judges), squeeze=False)[:, 0], judges):
        _perturbed(axes, section, name)
    _legend_above(figure)


def _draw_edits(record: Record, figure: Figure) -> None:
    above, below = figure.subplots(2)
    _edited_energies(above, record)
    _flipped(below, record)
    _legend_above(figure)


def _draw_singles(record: Record, figure: Figure) -> None:
    for axes, kind in zip(figure.subplots(2, sharex=True), KINDS):
        _singles(axes, record, kind)
    _legend_above(figure)


def _legend_above(figure: Figure) -> None:
    """One for all axes, of the first of them."""
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)


def _perturbed(axes: Axes, section: Record, judge: str) -> None:
    """The judge's mean by position, or of one chosen word; bands and bars are standard errors of
    the change, paired by window."""
    baseline = section["baseline"][judge]["mean"]
    axes.axhline(baseline, color=GREY, linestyle="--", label="as it is")
    for kind in [*section["put_in"], "swap"]:
        rows = [row for row in section["rows"] if row["perturbation"] == kind]
        at = [row["position"] for row in rows]
        values = [row[judge]["mean"] for row in rows]
        errors = [row[f"{judge}_change"]["standard_error"] or 0.0 for row in rows]
        low, high = ([v + sign * e for v, e in zip(values, errors)] for sign in (-1, 1))
        unit = section["put_in"].get(kind)
        label = "neighbours swapped" if unit is None else f"{kind} {unit.strip() or unit!r}"
        if section["replaced"]:
            axes.errorbar(
                [kind], values, errors, color=COLOURS[kind], marker="o", label=plain(label)
            )
            continue
        axes.fill_between(at, low, high, color=COLOURS[kind], alpha=0.2, linewidth=0)
        axes.plot(at, values, color=COLOURS[kind], marker=".", label=plain(label))
    axes.set_xlabel(plain(_changed(section)))
    axes.set_ylabel(JUDGES[judge])
    axes.grid(alpha=0.3)


def _changed(section: Record) -> str:
    if section["replaced"]:
        return f"in the place of {section['replaced']}, {section['num_windows']:,} windows"
    return f"position of the changed {section['unit']}, in tokens"


def _edited_energies(axes: Axes, record: Record) -> None:
    for kind, colour in KINDS.items():
        rows = record["token_edits"][kind]["by_edits"]
        at, values = [r["edits"] for r in rows], [r["energy"]["mean"] for r in rows]
        errors = [r["energy"]["standard_error"] or 0.0 for r in rows]
        axes.errorbar(at, values, errors, color=colour, marker="o", capsize=2, label=f"{kind} text")
    axes.axhline(record["threshold"]["value"], color=GREY, linestyle="--", label="threshold")
    axes.set_xlabel("tokens edited")
    axes.set_ylabel("mean energy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _flipped(axes: Axes, record: Record) -> None:
    for kind, colour in KINDS.items():
        rows = [r for r in record["token_edits"][kind]["by_edits"] if r["flipped"] is not None]
        at, values = [r["edits"] for r in rows], [r["flipped"] for r in rows]
        axes.plot(at, values, color=colour, marker="o")
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("tokens edited")
    axes.set_ylabel("right verdicts turned")
    axes.grid(alpha=0.3)


def _singles(axes: Axes, record: Record, kind: str) -> None:
    for name, points in record["token_edits"][kind]["single_edits"]["points"].items():
        at, colour = (points["energy"], points.get("lm_ppl", [])), POINTS[name]
        axes.scatter(*at, s=8, color=colour, alpha=0.5, linewidths=0, label=name)
    axes.axvline(record["threshold"]["value"], color=GREY, linestyle="--", label="threshold")
    axes.set_yscale("log")
    axes.set_xlabel("energy")
    axes.set_ylabel("LM perplexity")
    axes.set_title(f"{kind} text", fontsize="medium")
    axes.grid(alpha=0.3)


def _draw_attacks(record: Record, figure: Figure) -> None:
    axes = figure.add_subplot()
    rows = record["attacks"][::-1]  # barh counts from below
    colours = [GREY if row["attack"] in ("none", "encoded again") else BLUE for row in rows]
    bars = axes.barh(
        [row["attack"] for row in rows], [row["accuracy"] for row in rows], color=colours
    )
    axes.bar_label(bars, fmt=lambda share: f"{share:.1%}", padding=3, fontsize="small")
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 1.1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("balanced accuracy")
    axes.set_title(f"{record['num_windows']:,} windows of each kind", fontsize="medium")


def _draw_visible(record: Record, figure: Figure) -> None:
    axes = figure.add_subplot()
    rows = record["visible_tokens"]
    at = [row["visible_tokens"] for row in rows]
    for name, label, colour in (("accuracy", "accuracy", BLUE), ("auroc", "AUROC", ORANGE)):
        axes.plot(at, [row[name] for row in rows], color=colour, marker="o", label=plain(label))
    axes.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set_xticks(at)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("generated tokens that are seen")
    axes.set_title(f"{record['num_windows']:,} windows of each kind", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend()
