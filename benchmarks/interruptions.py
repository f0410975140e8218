"""Does a recipe that was killed at a random moment in each of its stages, and started again, end
with the numbers of a run that nothing disturbed?

    .venv/bin/python benchmarks/interruptions.py
    .venv/bin/python benchmarks/interruptions.py --size small --undisturbed runs/demo

Compares what the stages made: records (but for times, and provenance, whose hashes are of files
with times in them), the parameters of models, and all else byte by byte. Ends with an error if
anything differs. docs/benchmarks.md says what came of it.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List
from urllib.parse import quote

import torch

from fairseq_ebm.workflow.files import read_yaml
from fairseq_ebm.workflow.recipe import stages_of

RUN = [sys.executable, "-m", "fairseq_ebm", "run"]
LOOK_EVERY = 0.02  # seconds
ATTEMPTS = 5  # at being in time
PATIENCE = 3600.0  # seconds
ASIDE = ("provenance", "source", "seconds")  # of records, of a store of negatives, of pools
ON_PAGE = re.compile(r"<details>.*?</details>", re.S)  # the same on a page of HTML


class Recipe:
    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.folder = folder
        flags = ["--dest", str(folder), "--jobs", str(arguments.jobs)]
        self.command = [*RUN, arguments.recipe, *flags, "--size", arguments.size]
        path = Path(arguments.recipe)
        stages = stages_of(path, read_yaml(path), folder, arguments.size)
        self.stages = [stage.name for stage in stages]

    def complete(self) -> None:
        subprocess.run(self.command, check=True)

    def state(self, stage: str) -> Dict[str, Any]:
        path = self.state_path(stage)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def state_path(self, stage: str) -> Path:
        return self.folder / ".stages" / f"{quote(stage, safe='')}.json"

    def killed_in(self, stage: str, after: float) -> str:
        """Runs until the stage has been at work for so many seconds; "too late" if it was done."""
        path, started = self.state_path(stage), time.time()
        process = subprocess.Popen(self.command, start_new_session=True, stdout=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                time.sleep(LOOK_EVERY)
                began = path.stat().st_mtime if path.exists() else 0.0  # of this run, or one before
                if self.state(stage).get("done") or started < began <= time.time() - after:
                    break
                if time.time() - started > PATIENCE:
                    raise SystemExit(f"{stage}: not begun after {PATIENCE:.0f} s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.wait_for_the_end()
        return "too late" if self.state(stage).get("done") else "killed"

    def wait_for_the_end(self) -> None:
        """Stages are in sessions of their own, and end when they see that their parent has."""
        until = time.monotonic() + PATIENCE
        while any(self._outputs_open()):
            if time.monotonic() > until:
                raise SystemExit(f"{self.folder}: a stage outlives the run that was killed")
            time.sleep(LOOK_EVERY)

    def _outputs_open(self) -> Iterator[bool]:
        for link in Path("/proc").glob("[0-9]*/fd/1"):
            with contextlib.suppress(OSError):
                yield os.readlink(link).startswith(f"{self.folder}/")

    def forget(self, stage: str) -> None:
        """It counts as made by another command, so that it is rebuilt."""
        self.state_path(stage).write_text('{"fingerprint": ""}', encoding="utf-8")


def disturbed(recipe: Recipe, seconds: Dict[str, float], seed: int) -> Dict[str, float]:
    """When each stage was killed, in seconds after its begin; then the recipe runs to its end."""
    chance, killed = random.Random(seed), {}
    for place, stage in enumerate(recipe.stages, 1):
        for attempt in range(ATTEMPTS):
            after = chance.random() * seconds[stage] * 0.9 / 2**attempt
            if recipe.killed_in(stage, after) == "killed":
                killed[stage] = after
                break
            recipe.forget(stage)
        else:
            raise SystemExit(f"{stage}: always done before it could be killed")
        words = f"{stage}: killed after {after:.2f} of {seconds[stage]:.1f} s"
        print(f"[{place}/{len(recipe.stages)}] {words}", flush=True)
    recipe.complete()
    return killed


def compare(one: Path, other: Path, stages: List[str]) -> List[str]:
    """A line for every stage, each beginning with "same" or "different"."""
    return [
        f"{'same' if same else 'different'}: {stage}"
        for stage in stages
        for same in [contents(one, stage) == contents(other, stage)]
    ]


def contents(folder: Path, stage: str) -> Dict[str, Any]:
    """Of every file in the stage's folder, what must be the same."""
    files = sorted(path for path in (folder / stage).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): of_file(path, folder) for path in files}


def of_file(path: Path, folder: Path) -> Any:
    """Figures of records and pages, parameters of checkpoints; a hash of any other file."""
    if path.suffix == ".pt":
        model = torch.load(path, map_location="cpu", weights_only=False)["model"]
        return {name: hash_of(value.numpy().tobytes()) for name, value in model.items()}
    if path.suffix not in (".json", ".jsonl", ".html", ".md"):
        return hash_of(path.read_bytes())
    text = path.read_text(encoding="utf-8").replace(str(folder), "FOLDER")
    if path.suffix == ".json":
        return record(text)
    return (
        list(map(record, text.splitlines())) if path.suffix == ".jsonl" else ON_PAGE.sub("", text)
    )


def record(text: str) -> Any:
    return {name: value for name, value in json.loads(text).items() if name not in ASIDE}


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    checkout = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--recipe", default=str(checkout / "examples" / "demo" / "demo.yaml"))
    parser.add_argument("--size", default="tiny", help="of the recipe (default: tiny)")
    parser.add_argument("--jobs", type=int, default=2, help="(default: 2)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    parser.add_argument("--dest", default="runs/interruptions", help="(default: %(default)s)")
    parser.add_argument("--undisturbed", help="a run to compare with (default: one in --dest)")
    arguments = parser.parse_args()
    dest = Path(arguments.dest).resolve()
    other = Recipe(arguments, dest / "disturbed")
    if other.folder.exists():
        raise SystemExit(f"{other.folder}: is there; remove it first")
    undisturbed = Recipe(arguments, Path(arguments.undisturbed or dest / "undisturbed").resolve())
    undisturbed.complete()
    seconds = {stage: float(undisturbed.state(stage)["seconds"]) for stage in undisturbed.stages}
    disturbed(other, seconds, arguments.seed)
    lines = compare(undisturbed.folder, other.folder, undisturbed.stages)
    print("\n".join(lines))
    if any(line.startswith("different") for line in lines):
        raise SystemExit("The disturbed run ended with other numbers")


if __name__ == "__main__":
    main()
