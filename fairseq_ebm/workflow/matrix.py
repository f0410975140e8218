"""The tables of a matrix: how well energies tell real text from generated, across generators and
corpora, and which claims hold in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Dict, List

from ..errors import UserError
from ..options import Record
from ..records import read_json, write_json
from ..reports.kinds import sections
from ..reports.markdown import page
from ..reports.page import Named
from .plan import Cell, Claim, Plan

Tables = Mapping[str, Mapping[str, Mapping[str, Record]]]
KEPT = ("p_at_1", "auroc", "tpr_at_fpr_5", "tpr_at_fpr_1", "n_real", "n_fake")


def record_of(plan: Plan, content: Mapping[str, Any], folder: Path) -> Record:
    tables = {
        title: {
            label: {head: result(folder, cell) for head, cell in row.items()}
            for label, row in rows.items()
        }
        for title, rows in plan.tables.items()
    }
    found, made = findings(tables, plan.claims), {"matrix": content}
    return {"kind": "matrix", "tables": tables, "findings": found, "provenance": made}


def result(folder: Path, cell: Cell) -> Record:
    """The accuracy where a score itself draws the line, as in the paper; others need a threshold
    from valid. The versions are those that judged."""
    report = read_json(folder / cell.report)
    (row,) = (row for row in report["rows"] if row["scorer"] == cell.scorer)
    if cell.prefix_length is not None:
        parts = {part["prefix_length"]: part for part in row["by_prefix_length"]}
        if cell.prefix_length not in parts:
            raise UserError(f"{cell.report}: no window with a prefix of {cell.prefix_length}")
        row = parts[cell.prefix_length]
    name = "accuracy" if row["accuracy_natural"] is None else "accuracy_natural"
    where = {"report": cell.report, "scorer": cell.scorer}
    accuracy = {"accuracy": row[name], "accuracy_ci95": row[f"{name}_ci95"]}
    kept = {key: row[key] for key in KEPT}
    return {**where, **accuracy, **kept, "versions": report["provenance"]["versions"]}


def findings(tables: Tables, claims: Sequence[Claim]) -> List[Dict[str, Any]]:
    """Each claim is that in every pair of cells the first has the higher accuracy. "found": it has,
    and the intervals are apart; "found, intervals overlap" in some pair; "not found"."""
    results = []
    for sentence, pairs in claims:
        cells = [tuple(tables[title][label][head] for title, label, head in pair) for pair in pairs]
        higher = all(a["accuracy"] > b["accuracy"] for a, b in cells)
        apart = all(a["accuracy_ci95"][0] > b["accuracy_ci95"][1] for a, b in cells)
        found = "found" if apart else "found, intervals overlap"
        verdict = found if higher else "not found"
        accuracies = [[a["accuracy"], b["accuracy"]] for a, b in cells]
        results.append({"claim": sentence, "verdict": verdict, "pairs": accuracies})
    return results


def write(record: Record, title: str, folder: Path) -> List[Path]:
    paths = [folder / "matrix.json", folder / "matrix.md"]
    write_json(record, paths[0])
    paths[1].write_text(page(title, sections([Named("", record)], {})), encoding="utf-8")
    return paths
