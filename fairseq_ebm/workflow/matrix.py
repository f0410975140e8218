"""fairseq-ebm-matrix: tables of how well energies tell real text from generated, across generators
and corpora: everything that they need, made and judged."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, List

from ..cli.program import ArgumentParser, run
from ..errors import UserError
from ..records import read_json, write_json
from ..reports.matrix import findings, in_markdown
from .plan import SECTIONS, Cell, Plan, Planner, claims
from .stages import Run, add_run_flags, in_words, read_yaml

DESCRIPTION = """\
Trains what the tables in FILE.yaml need, language models, negatives and energies, judges
every cell, and writes DIR/matrix.json and DIR/matrix.md.

  fairseq-ebm-matrix examples/matrix/small.yaml --dest DIR --jobs 2

May be interrupted and started again: what is done stays, and what a changed FILE.yaml, a
changed corpus or other versions of the software change is made anew. docs/formats.md
describes the file.
"""

KEPT = ("p_at_1", "auroc", "tpr_at_fpr_5", "tpr_at_fpr_1", "n_real", "n_fake")


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-matrix", description=DESCRIPTION)
    parser.add_argument("file", metavar="FILE.yaml", help="what to make, and which tables of it")
    add_run_flags(parser)
    parser.add_argument("--cpu", action="store_true", help="use no GPU even if there is one")
    return parser


def matrix(arguments: argparse.Namespace) -> None:
    path, folder = Path(arguments.file), Path(arguments.dest).resolve()
    content = read_yaml(path, SECTIONS)
    try:
        plan = Planner(content, folder, ["--cpu"] * arguments.cpu).everything()
        told = claims(content)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: something is missing or misplaced: {error!r}") from None
    require_cells(plan, told)
    if arguments.dry_run:
        print(in_words(list(plan.stages.values())))
        return
    Run(folder, list(plan.stages.values()), arguments.jobs, arguments.quiet).run()
    tables = {
        title: {
            label: {head: result(folder, cell) for head, cell in row.items()}
            for label, row in rows.items()
        }
        for title, rows in plan.tables.items()
    }
    report = {
        "tables": tables,
        "findings": findings(tables, told),
        "provenance": {"matrix": content},
    }
    write_json(report, folder / "matrix.json")
    text = in_markdown(report)
    (folder / "matrix.md").write_text(text, encoding="utf-8")
    if not arguments.quiet:
        print(f"\n{text}\nwritten: {folder / 'matrix.md'}, {folder / 'matrix.json'}")


def require_cells(plan: Plan, told: List[Any]) -> None:
    for sentence, pairs in told:
        for title, label, head in (cell for pair in pairs for cell in pair):
            if head not in plan.tables.get(title, {}).get(label, {}):
                raise UserError(f"findings: {sentence}: no cell [{title}, {label}, {head}]")


def result(folder: Path, cell: Cell) -> Dict[str, Any]:
    """The accuracy where a score itself draws the line, as in the paper; others need a threshold
    from valid. The versions are those that judged."""
    report = read_json(folder / cell.report)
    rows: List[Mapping[str, Any]] = report["rows"]
    (found,) = (row for row in rows if row["scorer"] == cell.scorer)
    if cell.prefix_length is not None:
        parts = {part["prefix_length"]: part for part in found["by_prefix_length"]}
        if cell.prefix_length not in parts:
            raise UserError(f"{cell.report}: no window with a prefix of {cell.prefix_length}")
        found = parts[cell.prefix_length]
    name = "accuracy" if found["accuracy_natural"] is None else "accuracy_natural"
    return {
        "report": cell.report,
        "scorer": cell.scorer,
        "accuracy": found[name],
        "accuracy_ci95": found[f"{name}_ci95"],
        **{key: found[key] for key in KEPT},
        "versions": report["provenance"]["versions"],
    }


def main() -> None:
    run(build_parser(), matrix)


if __name__ == "__main__":
    main()
