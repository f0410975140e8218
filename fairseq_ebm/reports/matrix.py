"""The tables of fairseq-ebm-matrix in Markdown, and which claims hold in them."""

from collections.abc import Mapping, Sequence
from typing import Any, Dict, List, Tuple

Tables = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]
CellName = Sequence[str]  # table, row, column


def findings(
    tables: Tables, claims: Sequence[Tuple[str, Sequence[Tuple[CellName, CellName]]]]
) -> List[Dict[str, Any]]:
    """Each claim is that in every pair of cells the first has the higher accuracy. "found": it has,
    and the intervals are apart; "found, intervals overlap" in some pair; "not found"."""

    def cell(name: CellName) -> Mapping[str, Any]:
        table, row, column = name
        return tables[table][row][column]

    found = []
    for sentence, pairs in claims:
        cells = [(cell(a), cell(b)) for a, b in pairs]
        higher = all(a["accuracy"] > b["accuracy"] for a, b in cells)
        apart = all(a["accuracy_ci95"][0] > b["accuracy_ci95"][1] for a, b in cells)
        verdict = (
            "found" if higher and apart else "found, intervals overlap" if higher else "not found"
        )
        values = [[a["accuracy"], b["accuracy"]] for a, b in cells]
        found.append({"claim": sentence, "verdict": verdict, "pairs": values})
    return found


def in_markdown(report: Mapping[str, Any]) -> str:
    lines: List[str] = []
    for title, rows in report["tables"].items():
        heads = list(next(iter(rows.values())))
        lines += [
            f"## {title}",
            "",
            f"| | {' | '.join(heads)} |",
            "| --- |" + " --- |" * len(heads),
        ]
        for label, row in rows.items():
            cells = [label.replace("|", "/"), *(_accuracy(row[head]) for head in heads)]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", f"Accuracy in %, 95% intervals; {windows_of(rows)} real windows.", ""]
    if report["findings"]:
        lines += [
            "## Findings",
            "",
            "| claim | | the higher > the lower, in % |",
            "| --- | --- | --- |",
        ]
        for finding in report["findings"]:
            pairs = "; ".join(f"{100 * a:.1f} > {100 * b:.1f}" for a, b in finding["pairs"])
            lines.append(f"| {finding['claim']} | {finding['verdict']} | {pairs} |")
        lines.append("")
    return "\n".join(lines)


def windows_of(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A count, or the least and the most of the cells'."""
    counts = {cell["n_real"] for row in rows.values() for cell in row.values()}
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _accuracy(cell: Mapping[str, Any]) -> str:
    low, high = cell["accuracy_ci95"]
    return f"{100 * cell['accuracy']:.1f} ({100 * low:.1f}–{100 * high:.1f})"
