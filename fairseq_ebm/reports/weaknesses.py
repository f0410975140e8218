"""Pictures and a table of a report of fairseq-ebm-weaknesses."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Iterator, List, Optional, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .figures import BLUE, GREY, NAVY, ORANGE, new_figure, save

COLOURS = {"entity": ORANGE, "common": BLUE, "swap": NAVY}
JUDGES = {"energy": "energy", "nll": "-log P of the LM, nats a token"}
KINDS = {"real": BLUE, "generated": ORANGE}
POINTS = {"as it is": GREY, "one edit": BLUE, "all edits": ORANGE}


PICTURES = {
    "perturbations": "the mean of energy and LM when one word or token is changed",
    "edits": "energies and verdicts when tokens are changed one by one, chosen by gradients",
    "singles": "energy and LM perplexity of texts with one of their edits alone, and with all",
    "attacks": "accuracy when generated text is disguised",
    "visible": "accuracy when only the first tokens of the continuation are seen",
}


def draw(report: Mapping[str, Any], out: Path) -> List[Path]:
    """Beside OUT.json: OUT.perturbations.svg, OUT.edits.svg, OUT.attacks.svg; if a language model
    judged, OUT.singles.svg; for text generated left to right, OUT.visible.svg."""
    return [save(figure, out, name) for name, figure in pictures(report)]


def pictures(report: Mapping[str, Any]) -> Iterator[Tuple[str, Figure]]:
    section = report["perturbations"]
    judges = [name for name in JUDGES if name in section["baseline"]]
    figure = new_figure(len(judges))
    for axes, name in zip(figure.subplots(len(judges), squeeze=False)[:, 0], judges):
        _perturbations(axes, section, name)
    _legend_above(figure)
    yield "perturbations", figure

    figure = new_figure(2)
    above, below = figure.subplots(2)
    _edited_energies(above, report)
    _flipped(below, report)
    _legend_above(figure)
    yield "edits", figure

    if "nll" in section["baseline"]:
        figure = new_figure(2)
        for axes, kind in zip(figure.subplots(2, sharex=True), KINDS):
            _single_edits(axes, report, kind)
        _legend_above(figure)
        yield "singles", figure

    figure = new_figure()
    _attacks(figure.add_subplot(), report)
    yield "attacks", figure
    if report["visible_tokens"]:
        figure = new_figure()
        _visible(figure.add_subplot(), report)
        yield "visible", figure


def _legend_above(figure: Figure) -> None:
    """One for all axes, of the first of them."""
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)


def _perturbations(axes: Axes, section: Mapping[str, Any], judge: str) -> None:
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
        label = label.replace("$", r"\$")  # two would open and close a formula
        if section["replaced"]:
            axes.errorbar([kind], values, errors, color=COLOURS[kind], marker="o", label=label)
            continue
        axes.fill_between(at, low, high, color=COLOURS[kind], alpha=0.2, linewidth=0)
        axes.plot(at, values, color=COLOURS[kind], marker=".", label=label)
    axes.set_xlabel(_changed(section).replace("$", r"\$"))
    axes.set_ylabel(JUDGES[judge])
    axes.grid(alpha=0.3)


def _changed(section: Mapping[str, Any]) -> str:
    if section["replaced"]:
        return f"in the place of {section['replaced']}, {section['num_windows']:,} windows"
    return f"position of the changed {section['unit']}, in tokens"


def _edited_energies(axes: Axes, report: Mapping[str, Any]) -> None:
    for kind, colour in KINDS.items():
        rows = report["token_edits"][kind]["by_edits"]
        at, values = [r["edits"] for r in rows], [r["energy"]["mean"] for r in rows]
        errors = [r["energy"]["standard_error"] or 0.0 for r in rows]
        axes.errorbar(at, values, errors, color=colour, marker="o", capsize=2, label=f"{kind} text")
    axes.axhline(report["threshold"]["value"], color=GREY, linestyle="--", label="threshold")
    axes.set_xlabel("tokens edited")
    axes.set_ylabel("mean energy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _flipped(axes: Axes, report: Mapping[str, Any]) -> None:
    for kind, colour in KINDS.items():
        rows = [r for r in report["token_edits"][kind]["by_edits"] if r["flipped"] is not None]
        at, values = [r["edits"] for r in rows], [r["flipped"] for r in rows]
        axes.plot(at, values, color=colour, marker="o")
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("tokens edited")
    axes.set_ylabel("right verdicts turned")
    axes.grid(alpha=0.3)


def _single_edits(axes: Axes, report: Mapping[str, Any], kind: str) -> None:
    for name, points in report["token_edits"][kind]["single_edits"]["points"].items():
        at, colour = (points["energy"], points.get("lm_ppl", [])), POINTS[name]
        axes.scatter(*at, s=8, color=colour, alpha=0.5, linewidths=0, label=name)
    axes.axvline(report["threshold"]["value"], color=GREY, linestyle="--", label="threshold")
    axes.set_yscale("log")
    axes.set_xlabel("energy")
    axes.set_ylabel("LM perplexity")
    axes.set_title(f"{kind} text", fontsize="medium")
    axes.grid(alpha=0.3)


def _attacks(axes: Axes, report: Mapping[str, Any]) -> None:
    rows = report["attacks"][::-1]  # barh counts from below
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
    axes.set_title(f"{report['num_windows']:,} windows of each kind", fontsize="medium")


def _visible(axes: Axes, report: Mapping[str, Any]) -> None:
    rows = report["visible_tokens"]
    at = [row["visible_tokens"] for row in rows]
    for name, label, colour in (("accuracy", "accuracy", BLUE), ("auroc", "AUROC", ORANGE)):
        axes.plot(at, [row[name] for row in rows], color=colour, marker="o", label=label)
    axes.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set_xticks(at)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("generated tokens that are seen")
    axes.set_title(f"{report['num_windows']:,} windows of each kind", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend()


def table(report: Mapping[str, Any]) -> str:
    threshold = report["threshold"]
    origin = "of the subset valid" if threshold["from"] == "valid" else "not set on valid text"
    lines = [
        f"{report['num_windows']:,} real windows, as many generated; "
        f"threshold {threshold['value']:.3f}, {origin}",
        *_perturbations_table(report["perturbations"]),
        *_edits_table(report["token_edits"]),
        f"{'attack':<20}{'accuracy':>9}{'found':>9}{'AUROC':>8}{'windows changed':>18}",
    ]
    lines += [
        f"  {row['attack']:<18}{row['accuracy']:>9.1%}{row['found']:>9.1%}{row['auroc']:>8.3f}"
        f"{row['changed']:>18.1%}"
        for row in report["attacks"]
    ]
    if not report["visible_tokens"]:
        return "\n".join([*lines, "visible tokens: only for text generated left to right"])
    lines.append(f"{'visible tokens':<20}{'accuracy':>9}{'found':>9}{'AUROC':>8}")
    lines += [
        f"  {row['visible_tokens']:<18}{row['accuracy']:>9.1%}{row['found']:>9.1%}"
        f"{row['auroc']:>8.3f}"
        for row in report["visible_tokens"]
    ]
    return "\n".join(lines)


def _perturbations_table(section: Mapping[str, Any]) -> List[str]:
    """Mean changes over all positions, and at the one where the energy changes most."""
    names = [name for name in ("energy", "nll") if name in section["baseline"]]
    replaced = section["replaced"]
    heads = "".join(f"{name:>9}" for name in names) + ("" if replaced else "   most at")
    title = f"one {section['unit']} changed"
    lines = [f"{title:<22}{heads}"]
    for kind in [*section["put_in"], "swap"]:
        rows = [row for row in section["rows"] if row["perturbation"] == kind]
        changes = (sum(row[f"{name}_change"]["mean"] for row in rows) / len(rows) for name in names)
        line = f"  {kind:<20}" + "".join(f"{change:>+9.3f}" for change in changes)
        if not replaced:
            most = max(rows, key=lambda row: abs(row["energy_change"]["mean"]))
            line += f"   position {most['position']} ({most['energy_change']['mean']:+.3f})"
        lines.append(line)
    if replaced:
        lines.append(f"  of {replaced!r}, in {section['num_windows']:,} windows that have it")
    return lines


def _edits_table(section: Mapping[str, Any]) -> List[str]:
    lines = [f"{'edits by gradients':<22}{'flipped':>9}{'after':>7}{'same sign':>11}"]
    for kind, part in section.items():
        cells = [
            _percent(part["flipped"]),
            "-" if part["mean_edits_to_flip"] is None else f"{part['mean_edits_to_flip']:.1f}",
            _percent(part["sign_agreement"]),
        ]
        words = "".join(f"{cell:>{width}}" for cell, width in zip(cells, (9, 7, 11)))
        last = part["by_edits"][-1]
        ppl = ""
        if "lm_ppl" in last:
            first = part["by_edits"][0]
            ppl = f"   LM perplexity {first['lm_ppl']:.2f} to {last['lm_ppl']:.2f}"
        lines.append(f"  {kind:<20}{words}{ppl}")
    return [*lines, *_single_edits_table(section)]


def _single_edits_table(section: Mapping[str, Any]) -> List[str]:
    """Medians: a few perplexities would rule a mean."""
    columns = {
        kind: [part["single_edits"]["points"][name] for name in ("as it is", "one edit")]
        for kind, part in section.items()
    }
    judges = {"energy": "energy", "lm_ppl": "perplexity"}
    used = [name for name in judges if any(name in c for pair in columns.values() for c in pair)]
    heads = "".join(f"{judges[name]:>12}{'with it':>9}" for name in used)
    lines = [f"{'each edit alone':<18}{heads}{'edits':>8}   medians"]
    for kind, (before, after) in columns.items():
        cells = "".join(f"{_median(before, n):>12}{_median(after, n):>9}" for n in used)
        lines.append(f"  {kind:<16}{cells}{section[kind]['single_edits']['num_edits']:>8,}")
    return lines


def _median(column: Mapping[str, Any], name: str) -> str:
    return f"{median(column[name]):.2f}" if column.get(name) else "-"


def _percent(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.1%}"
