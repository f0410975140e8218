"""Logs of selection, side by side."""

from pathlib import Path
from typing import Any, Dict, List, Sequence

from ..errors import UserError
from ..options import Record
from .log import read_log
from .options import SelectionLog

KIND = "selection"
POINTS = 100  # of a curve, at most
LAST = 0.1  # of the updates are the end


def selection_log(options: SelectionLog) -> Record:
    names = [path.parent.name or path.stem for path in options.logs]
    if len(set(names)) < len(names):
        names = [str(path) for path in options.logs]
    return {"kind": KIND, "runs": [_run(n, path) for n, path in zip(names, options.logs)]}


def _run(name: str, path: Path) -> Record:
    if not path.exists():
        raise UserError(f"{path}: no such file")
    lines = read_log(path)
    chosen = [line for line in lines if "chosen" in line]
    if not chosen:
        raise UserError(f"{path}: nothing was chosen yet")
    seconds = sum(line["seconds"] for line in chosen)
    updates, made = chosen[-1]["update"], sum(line["updates"] for line in chosen)
    end = [line for line in chosen if line["update"] > (1 - LAST) * updates]
    return {
        "name": name,
        "updates": updates,
        "seconds": seconds,
        "updates_per_second": made / seconds if seconds else None,
        "selecting": sum(line["selecting"] for line in chosen) / seconds if seconds else None,
        "chosen": sum(line["chosen"] for line in chosen),
        "distinct": chosen[-1]["distinct"],
        "share": _shares(end),
        "effective": _mean(end, "effective"),
        "concentration": _mean(end, "concentration"),
        "over_time": [{"update": part[-1]["update"], **_shares(part)} for part in _parts(chosen)],
        "valid": _losses(lines),
    }


def _shares(lines: Sequence[Record]) -> Dict[str, float]:
    """Of all that was chosen."""
    total = max(1, sum(line["chosen"] for line in lines))
    sources = lines[0].get("share", {})
    return {
        source: sum(line["share"].get(source, 0.0) * line["chosen"] for line in lines) / total
        for source in sources
    }


def _mean(lines: Sequence[Record], name: str) -> Any:
    values = [line[name] for line in lines if line.get(name) is not None]
    return sum(values) / len(values) if values else None


def _parts(lines: Sequence[Record]) -> List[Sequence[Record]]:
    size = -(-len(lines) // POINTS)
    return [lines[start : start + size] for start in range(0, len(lines), size)]


def _losses(lines: Sequence[Record]) -> Dict[str, List[Record]]:
    """By subset: what was known when."""
    found: Dict[str, List[Record]] = {}
    for line in lines:
        for subset, loss in line.get("valid", {}).items():
            point = {"update": line["update"], "seconds": line["seconds"], "loss": loss}
            found.setdefault(subset, []).append(point)
    return found
