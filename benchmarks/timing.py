"""Ratios of speed, each from runs of two peers in turn in one process; bare seconds of a shared
machine mean little."""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import torch

# Operations per second of an H100 or H200 (SXM), dense.
PEAK = {torch.float32: 67e12, torch.float16: 989e12, torch.bfloat16: 989e12}


class Timing:
    def __init__(self, device: str, runs: int) -> None:
        self.device = torch.device(device)
        self.runs = runs
        self.results: List[Dict[str, Any]] = []
        self._out: Optional[Path] = None
        self._machine: Dict[str, Any] = {}

    def seconds(self, work: Callable[[], Any]) -> float:
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def compare(
        self,
        name: str,
        ours: Callable[[], Any],
        peer: Callable[[], Any],
        work: float = 1.0,
        aim: Optional[float] = None,
    ) -> None:
        """``work``: how much more ours does than the peer."""
        ours(), peer()
        pairs = [(self.seconds(ours), self.seconds(peer)) for _ in range(self.runs)]
        ratios = [work * b / a for a, b in pairs]
        self.report(
            name,
            ratio=statistics.median(ratios),
            ratios=ratios,
            seconds_ours=statistics.median(a for a, _ in pairs),
            seconds_peer=statistics.median(b for _, b in pairs),
            aim=aim,
        )

    def report(self, name: str, **values: Any) -> None:
        self.results.append({"row": name, **values})
        self._save()
        shown = {k: v for k, v in values.items() if v is not None and k != "ratios"}
        print(f"{name:58}", "  ".join(f"{k} {_short(v)}" for k, v in shown.items()), flush=True)

    def write_to(self, out: Path, machine: Dict[str, Any]) -> None:
        """From now on each row is in the file at once, whatever becomes of the others."""
        out.parent.mkdir(parents=True, exist_ok=True)
        self._out, self._machine = out, machine

    def _save(self) -> None:
        if self._out is not None:
            record = {"machine": self._machine, "rows": self.results}
            self._out.write_text(json.dumps(record, indent=2) + "\n")

    def write(self, out: Path, machine: Dict[str, Any]) -> None:
        self.write_to(out, machine)
        self._save()
        print(f"as JSON: {out}")


def add_models(parser: argparse.ArgumentParser, windows: int) -> None:
    """Which models, on which windows."""
    parser.add_argument("--data")
    parser.add_argument("--path", help="lm.pt:energy.pt")
    parser.add_argument("--window", type=int, default=160)
    parser.add_argument("--prefix-length", type=int, default=120)
    parser.add_argument("--windows", type=int, default=windows)


def machine(device: str, **more: Any) -> Dict[str, Any]:
    """What the figures were measured on."""
    cuda = device.startswith("cuda")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": torch.cuda.get_device_name() if cuda else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        **more,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
