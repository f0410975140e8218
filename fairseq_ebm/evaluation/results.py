"""Results of windows on disk: a line of JSON each, written as they come, after a first line that
says what they are results of. What was killed goes on where it was; shards are joined."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, List

from ..errors import UserError
from .log_probs import Bounds, LastPosition, WindowResult


def results_path(report: Path, shard: int = 0, shards: int = 1) -> Path:
    """OUT.json -> OUT.windows.jsonl, or that of a shard."""
    part = "" if shards == 1 else f".shard-{shard}-of-{shards}"
    return report.with_name(f"{report.stem}{part}.windows.jsonl")


class ResultsFile:
    """``done``: what an earlier run had written, if it was about the same and is gone on with."""

    def __init__(self, path: Path, about: Mapping[str, Any], resume: bool) -> None:
        self.done: List[WindowResult] = []
        if resume and path.exists():
            before, self.done = read_results(path)
            if before != json.loads(json.dumps(about)):
                raise UserError(
                    f"--resume: {path} was begun with other options, models or text; "
                    "run without --resume to begin anew"
                )
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = path.with_name(path.name + ".tmp")  # what was done is never in danger
        begun.write_text(
            "".join([_line(about), *(_line(dataclasses.asdict(result)) for result in self.done)]),
            encoding="utf-8",
        )
        os.replace(begun, path)
        self._path = path

    def add(self, result: WindowResult) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(dataclasses.asdict(result)))


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value) + "\n"


def read_results(path: Path) -> "tuple[Dict[str, Any], List[WindowResult]]":
    """What the file is about, and its results; a last line that was cut off is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        values = [json.loads(line) for line in lines if line.endswith("\n")]
        about, results = values[0], [_result(value) for value in values[1:]]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise UserError(f"{path}: not results of windows ({error!r})") from None
    return about, results


def _result(value: Dict[str, Any]) -> WindowResult:
    for name in ("curve", "position_log_z"):
        value[name] = [Bounds(**bounds) for bounds in value[name]]
    value["log_z"] = Bounds(**value["log_z"])
    last = value["last"]
    if last is not None:
        value["last"] = LastPosition(**{**last, "log_z": Bounds(**last["log_z"])})
    return WindowResult(**value)


def join_shards(report: Path) -> "tuple[Dict[str, Any], List[WindowResult]]":
    """All shards of a report, each of which must be there and whole."""
    pattern = f"{report.stem}.shard-*-of-*.windows.jsonl"
    found = {path.name: path for path in report.parent.glob(pattern)}
    totals = {int(name.split("-of-")[1].split(".")[0]) for name in found}
    if len(totals) != 1:
        what = "no shards of it" if not totals else "shards of runs of different sizes"
        raise UserError(f"--merge: {report}: found {what} ({pattern})")
    (shards,) = totals
    about: Dict[str, Any] = {}
    results: List[WindowResult] = []
    for shard in range(shards):
        path = results_path(report, shard, shards)
        if path.name not in found:
            raise UserError(f"--merge: {path}: missing; run shard {shard} of {shards}")
        own, some = read_results(path)
        if about and own != about:
            raise UserError(f"--merge: {path}: about something else than shard 0")
        about = own
        results += some
    if len(results) != about["num_windows"]:
        raise UserError(
            f"--merge: {len(results)} of {about['num_windows']} windows are done; "
            "run the shards that stopped again, with --resume"
        )
    return about, sorted(results, key=lambda result: result.number)
