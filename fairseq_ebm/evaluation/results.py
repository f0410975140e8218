"""Results of windows on disk: a line of JSON each, written as they come, after a first line that
says what they are results of. What was killed is resumed; shards are joined."""

import dataclasses
import glob
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, List, Optional

from ..data.identity import other_text
from ..errors import UserError
from ..files import write_whole
from ..options import Record
from ..records import number_of, require_version, strict_json
from .log_probs import Bounds, LastPosition, WindowResult

FORMAT_VERSION = 3


def results_path(report: Path, shard: int = 0, shards: int = 1) -> Path:
    """OUT.json -> OUT.windows.jsonl, or that of a shard."""
    part = "" if shards == 1 else f".shard-{shard}-of-{shards}"
    return report.with_name(f"{report.stem}{part}.windows.jsonl")


class ResultsFile:
    """``done``: what an earlier run had written, if it was about the same and is resumed."""

    def __init__(self, path: Path, about: Mapping[str, Any], resume: bool) -> None:
        self.done: List[WindowResult] = []
        if resume and path.exists():
            before, self.done = read_results(path)
            other = difference(before, json.loads(strict_json(about)))
            if other is not None:
                remedy = "run without --resume to start over"
                raise UserError(f"--resume: {path} was begun with other {other}; {remedy}")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [_line(about), *(_line(dataclasses.asdict(result)) for result in self.done)]
        write_whole(path, "".join(lines).encode())  # what was done is never in danger
        self._path = path

    def add(self, result: WindowResult) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(dataclasses.asdict(result)))


def _line(value: Mapping[str, Any]) -> str:
    return strict_json(value) + "\n"


def difference(before: Record, now: Record) -> Optional[str]:
    """The first thing in which two files are about something else, in words; the text first."""
    texts = (about["provenance"].get("text", {}) for about in (before, now))
    other = other_text(*texts)
    return f"text: {other}" if other is not None else _difference(before, now)


def _difference(before: Record, now: Record, where: str = "") -> Optional[str]:
    for name in dict.fromkeys([*before, *now]):
        was, becomes, place = before.get(name), now.get(name), f"{where}{name.replace('_', ' ')}"
        if isinstance(was, dict) and isinstance(becomes, dict):
            deeper = _difference(was, becomes, where if name == "provenance" else f"{place}: ")
            if deeper is not None:
                return deeper
        elif was != becomes:
            return f"{place} ({was}, now {becomes})"
    return None


def read_results(path: Path) -> "tuple[Record, List[WindowResult]]":
    """What the file is about, and its results; a last line that was cut off is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        values = [json.loads(line) for line in lines if line.endswith("\n")]
        about = values[0]
        require_version(about, FORMAT_VERSION, path, "evaluate again")
        return about, [_result(value) for value in values[1:]]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise UserError(f"{path}: not results of windows ({error!r})") from None


def _result(value: Record) -> WindowResult:
    for name in ("curve", "position_log_z"):
        value[name] = [_bounds(bounds) for bounds in value[name]]
    value["log_z"], value["pareto_k"] = _bounds(value["log_z"]), number_of(value["pareto_k"])
    last = value["last"]
    if last is not None:
        value["last"] = LastPosition(**{**last, "log_z": _bounds(last["log_z"])})
    return WindowResult(**value)


def _bounds(values: Mapping[str, Any]) -> Bounds:
    return Bounds(**{name: number_of(value) for name, value in values.items()})


def join_shards(report: Path) -> "tuple[Record, List[WindowResult]]":
    """All shards of a report, each of which must be there and complete."""
    pattern = f"{glob.escape(report.stem)}.shard-*-of-*.windows.jsonl"
    found = {path.name: path for path in report.parent.glob(pattern)}
    totals = {int(name.rsplit("-of-", 1)[1].split(".")[0]) for name in found}
    if len(totals) != 1:
        what = "no shards of it" if not totals else "shards of runs of different sizes"
        raise UserError(f"--merge: {report}: found {what} ({pattern})")
    (shards,) = totals
    about: Record = {}
    results: List[WindowResult] = []
    for shard in range(shards):
        path = results_path(report, shard, shards)
        if path.name not in found:
            flags = f"--num-shards {shards} --shard-id {shard}"
            raise UserError(f"--merge: {path}: missing; run shard {shard} of {shards} ({flags})")
        own, some = read_results(path)
        other = difference(about, own) if about else None
        if other is not None:
            raise UserError(f"--merge: {path}: is of other {other} than shard 0; run it again")
        about = own
        results += some
    if len(results) != about["num_windows"]:
        done = f"{len(results)} of {about['num_windows']} windows are done"
        raise UserError(f"--merge: {done}; run the shards that stopped again, with --resume")
    return about, sorted(results, key=lambda result: result.number)
