"""One visit to a machine with a GPU: python3 examples/gpu/visit.py --out OUT

From the folder that `make gpu-bundle` makes. Steps in the order of their worth, each with a time
limit, in a process of its own; what fails takes no other down. What is done is not done again: call
it as often as a session lets you, with --seconds for what it has left. Writes OUT/STEP.json and
OUT/STEP.log at once, and OUT/results.md of all.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List
from urllib.parse import unquote

HERE = Path(__file__).resolve().parents[2]
LEAST = 20.0  # seconds that are worth beginning a step for
PATIENCE = 10.0  # seconds that what is to end may take


def installed(out: Path) -> Path:
    """The wheels in a folder of their own: nothing of the machine's is touched."""
    site = out / "site"
    if not (site / "done").exists():
        words = ["install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--upgrade"]
        wheels = map(str, sorted((HERE / "wheels").glob("*.whl")))
        command = [sys.executable, "-m", "pip", *words, "--target", str(site), *wheels]
        subprocess.run(command, check=True)
        (site / "done").touch()
    return site


def planned(site: Path) -> Dict[str, Any]:
    """steps.yaml, by the library that comes with the wheels."""
    sys.path.insert(0, str(site))
    import yaml  # noqa: PLC0415

    found: Dict[str, Any] = yaml.safe_load((HERE / "examples/gpu/steps.yaml").read_text())
    return found


def command(plan: Dict[str, Any], step: Dict[str, Any], values: Dict[str, Any]) -> List[str]:
    """Words stand for others, until none does."""
    known = {**plan["words"], **values}
    text = step["run"]
    while "{" in text:
        text = text.format(**known)
    return list(text.split())


def run(
    step: Dict[str, Any], words: List[str], site: Path, out: Path, seconds: float
) -> Dict[str, Any]:
    """What became of it. A step that is cut off may go on in the next call, where it can."""
    path = os.pathsep.join(map(str, [site, HERE]))
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "PATH": f"{site / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    began = time.monotonic()
    with (out / f"{step['name']}.log").open("a") as log:
        process = subprocess.Popen(words, cwd=HERE, env=environment, stdout=log, stderr=log,
                                   start_new_session=True)  # fmt: skip
        try:
            code = process.wait(min(step["seconds"], seconds))
            status = "done" if code == 0 else f"failed ({code})"
        except subprocess.TimeoutExpired:
            status = "out of time"
        finally:
            seconds = time.monotonic() - began
            _end(process)
    return {"step": step["name"], "about": step["about"], "status": status,
            "seconds": round(seconds, 1)}  # fmt: skip


def _end(process: "subprocess.Popen[bytes]") -> None:
    """With all that it has started, its own end notwithstanding; before the next step it must
    be gone, and what it held of a GPU."""
    asked_again = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        _end_group(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    finally:
        signal.signal(signal.SIGTERM, asked_again)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    for number, patience in ((signal.SIGTERM, PATIENCE), (signal.SIGKILL, 1.0)):
        end, signals = time.monotonic() + patience, number
        try:
            while time.monotonic() < end:
                os.killpg(process.pid, signals)
                signals = 0  # from now on: is there anything left?
                process.poll()  # which lets go of it
                time.sleep(0.05)
        except ProcessLookupError:
            return


def figures(out: Path, step: Dict[str, Any]) -> List[str]:
    """A line for each row of the step's record, and for each stage of its recipe."""
    path = out / step.get("record", f"{step['name']}.json")
    record = json.loads(path.read_text()) if path.exists() else {}
    own = {name: value for name, value in record.items() if _is_figure(value)}
    rows = record.get("rows") or ([{"row": "", **own}] if own else [])
    stages = sorted((out / step["name"] / ".stages").glob("*.json"))
    known = ((path.stem, json.loads(path.read_text()).get("seconds")) for path in stages)
    rows += [{"row": unquote(name), "seconds": spent} for name, spent in known if spent is not None]
    return [f"{row['row']}: {', '.join(_figures_in(row))}".strip(": ") for row in rows]


def _figures_in(row: Dict[str, Any]) -> List[str]:
    return [f"{k} {_short(v)}" for k, v in row.items() if k != "row" and v is not None]


def _is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_results(plan: Dict[str, Any], out: Path, device: str) -> None:
    code = "import torch; print(torch.__version__, *map(torch.cuda.get_device_name, range("
    code += "torch.cuda.device_count())))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    lines = [f"{time.strftime('%Y-%m-%d')}, {device}: torch {found.stdout.strip()}", "",
             "| step | | status | seconds |", "| --- | --- | --- | --- |"]  # fmt: skip
    for step in plan["steps"]:
        path = out / f"state-{step['name']}.json"
        if path.exists():
            state = json.loads(path.read_text())
            cells = (step["name"], state["about"], state["status"], str(state["seconds"]))
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    lines += [f"- {step['name']}: {each}" for step in plan["steps"] for each in figures(out, step)]
    (out / "results.md").write_text("\n".join(lines) + "\n")


def asked(plan: Dict[str, Any], given: argparse.Namespace) -> List[Dict[str, Any]]:
    names = [step["name"] for step in plan["steps"]]
    only, skip = (set(filter(None, each.split(","))) for each in (given.only, given.skip))
    for name in only | skip:
        if name not in names:
            raise SystemExit(f"visit.py: {name}: none of {', '.join(names)}")
    return [
        step for step in plan["steps"]
        if step["name"] in (only or names) and step["name"] not in skip
        and given.size in step.get("sizes", [given.size])
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of all that comes of it")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--size", default="paper", choices=("paper", "tiny"))
    parser.add_argument("--seconds", type=float, default=540, help="of this call, at most")
    parser.add_argument("--only", default="", help="steps, with commas (default: all)")
    parser.add_argument("--skip", default="", help="steps, with commas")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # with its step
    end, out = time.monotonic() + given.seconds, given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    site = installed(out)
    plan = planned(site)
    values = {**plan["sizes"][given.size], "python": sys.executable, "device": given.device,
              "out": out, "processes": _processes(given.device)}  # fmt: skip
    for step in asked(plan, given):
        state = out / f"state-{step['name']}.json"
        is_done = state.exists() and json.loads(state.read_text())["status"] == "done"
        left = end - time.monotonic()
        if is_done or left < LEAST:
            continue
        print(f"{step['name']}: {step['about']} …", flush=True)
        found = run(step, command(plan, step, values), site, out, left)
        state.write_text(json.dumps(found, indent=2) + "\n")
        write_results(plan, out, given.device)
        print(f"{step['name']}: {found['status']}, {found['seconds']} s", flush=True)
        for line in figures(out, step):
            print(f"  {line}", flush=True)


def _processes(device: str) -> int:
    if device == "cpu":
        return 2
    count = "import torch; print(torch.cuda.device_count())"
    found = subprocess.run(
        [sys.executable, "-c", count], capture_output=True, text=True, check=True
    )
    return max(2, int(found.stdout))


if __name__ == "__main__":
    main()
