"""As many samples for every window, or as each needs? Samples and seconds for the same error of the
joint perplexity.

    .venv/bin/python benchmarks/allocation.py --data DATA --path lm.pt:energy.pt \\
        --window 64 --prefix-length 32

Writes a table to standard output and JSON to runs/bench/allocation.json. For each target: windows
are evaluated with --sampling-error, then with the number for all that reaches the same error by
what the first run found. Without --data: the toy world of the tests. docs/benchmarks.md says what
came of it.
"""

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parent.parent))
from timing import Timing, add_models, machine  # isort: skip

from fairseq_ebm.data.windows import WindowOptions, Windows
from fairseq_ebm.evaluation import uncertainty
from fairseq_ebm.evaluation.log_probs import EvaluationOptions, WindowResult, blocks, evaluate_all
from fairseq_ebm.joint.checkpoints import load_joint_checkpoints
from fairseq_ebm.joint.model import Joint
from tests.evaluation.worlds import FixedWindows, joint, random_energy, random_windows


class Counting:
    """An energy that counts the texts that it reads: those of pilots, too."""

    def __init__(self, energy: Any) -> None:
        self.energy, self.count = energy, 0

    def __call__(self, windows: torch.Tensor, shared: int) -> torch.Tensor:
        self.count += windows.size(0) * windows.size(1)
        return self.energy(windows, shared)


def evaluated(
    world: Joint, windows: Any, options: EvaluationOptions
) -> Tuple[List[WindowResult], float]:
    """With the seconds that it took."""
    start = time.perf_counter()
    parts = blocks(world, len(windows), options, 0, 1)
    results = list(evaluate_all(world, windows, parts, options))
    return results, time.perf_counter() - start


def row(name: str, results: List[WindowResult], seconds: float, tokens: int) -> Dict[str, Any]:
    sizes = np.array([result.num_samples for result in results])
    errors = uncertainty.errors_of([result.log_z for result in results])
    return {
        "name": name,
        "samples": int(sizes.sum()),
        "of_a_window": f"{sizes.min()} to {sizes.max()}",
        "seconds": round(seconds, 1),
        "error": uncertainty.of_mean(errors, tokens),
    }


def compare(bench: Timing, world: Joint, windows: Any, target: float) -> None:
    tokens = windows.options.window - windows.options.prefix_lengths[0]
    drawn = Counting(world.energy)
    counting = dataclasses.replace(world, energy=drawn)
    results, seconds = evaluated(counting, windows, EvaluationOptions(sampling_error=target))
    needed = row(f"target {target:.2%}: as each needs", results, seconds, tokens)
    needed["samples"] = drawn.count - len(results)  # but for the real texts
    spreads = np.array([r.num_samples * r.log_z.error**2 for r in results])
    same = spreads.sum() / (needed["error"] * len(results) * tokens) ** 2
    fixed = EvaluationOptions(num_samples=max(2, round(same)))
    results, seconds = evaluated(world, windows, fixed)
    alike = row("the same number for all", results, seconds, tokens)
    saved = {
        name: needed[name] / alike[name] * (needed["error"] / alike["error"]) ** 2
        for name in ("samples", "seconds")
    }
    sigma = np.array([r.log_z.error for r in results])  # of pools that are alike in size
    least = float(sigma.mean() ** 2 / np.square(sigma).mean())
    words = "as each needs / the same, at the same error"
    found = [needed, alike, {"name": words, **saved, "least_possible": least}]
    for each in found:
        print(each, flush=True)
    bench.results += found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_models(parser, windows=64)
    parser.add_argument("--targets", type=float, nargs="+", default=[0.004, 0.002])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/allocation.json"))
    arguments = parser.parse_args()
    bench = Timing("cpu", 1)
    if arguments.data is None:
        world, windows = joint(random_energy()), FixedWindows(random_windows(arguments.windows))
    else:
        device, data = torch.device("cpu"), Path(arguments.data)
        world = load_joint_checkpoints(arguments.path, data, "fp32", device).joint()
        shape = (arguments.window, arguments.window, (arguments.prefix_length,))
        windows = Windows(data, "test", WindowOptions(*shape, arguments.windows))
    for target in arguments.targets:
        compare(bench, world, windows, target)
    bench.write(arguments.out, machine("cpu"))


if __name__ == "__main__":
    main()
