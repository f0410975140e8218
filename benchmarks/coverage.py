"""How often do 95% intervals of sampling hold the truth? On worlds whose log Z is enumerated:
windows with 256 texts each, and energies that are normal with some deviation, so that weights are
light or as heavy as those of trained energies.

    .venv/bin/python benchmarks/coverage.py

Writes a table to standard output and JSON to runs/bench/coverage.json. For one window and for the
perplexity of 60, by the jackknife's error around the jackknife, and by the delta method's around
the same and around the lower bound. docs/benchmarks.md says what came of it.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Dict, Tuple

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parent.parent))
from timing import Timing, machine  # isort: skip

from fairseq_ebm.numerics.intervals import Z95
from fairseq_ebm.numerics.partition import log_partition
from fairseq_ebm.numerics.weights import effective_sample_size
from tests.evaluation.test_uncertainty import world

AT_ONCE = 50  # repetitions
DEVIATIONS = {"light": 0.5, "heavy": 1.3, "heavier": 1.8}


def pools(place: Tuple[Tensor, Tensor], samples: int, generator: torch.Generator) -> Tensor:
    """Energies (W, R, n) of R pools of each window."""
    probabilities, energies = place
    drawn = torch.multinomial(probabilities, AT_ONCE * samples, True, generator=generator)
    return energies.gather(1, drawn).view(len(energies), AT_ONCE, samples)


def coverage(deviation: float, windows: int, samples: int, repetitions: int) -> Dict[str, float]:
    *place, log_z = world(deviation, windows)
    generator = torch.Generator().manual_seed(3)
    hits = dict.fromkeys(("jackknife", "delta", "delta, lower bound"), 0.0)
    effective = 0.0
    for _ in range(repetitions // AT_ONCE):
        drawn = pools((place[0], place[1]), samples, generator)
        found, ess = log_partition(drawn), effective_sample_size(-drawn)
        effective += float(ess.mean()) / samples * AT_ONCE / repetitions
        delta = ((samples / ess - 1) / (samples - 1)).clamp(min=0).sqrt()
        for name, estimate, error in (
            ("jackknife", found.jackknife, found.error),
            ("delta", found.jackknife, delta),
            ("delta, lower bound", found.lower, delta),
        ):
            off = (estimate - log_z.unsqueeze(1)).mean(dim=0).abs()  # (R,)
            spread = error.square().sum(dim=0).sqrt() / windows
            hits[name] += float((off < Z95 * spread).sum())
    shares = {f"by {name}": count / repetitions for name, count in hits.items()}
    return {"effective_share": effective, **shares}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/coverage.json"))
    arguments = parser.parse_args()
    bench = Timing("cpu", 1)
    for name, deviation in DEVIATIONS.items():
        for windows in (1, 60):
            for samples in (128, 1000):
                found = coverage(deviation, windows, samples, arguments.repetitions)
                words = ", ".join(f"{key} {value:.3f}" for key, value in found.items())
                print(f"{name}, {windows} windows, {samples} samples: {words}", flush=True)
                label = f"{name}, {windows} windows, {samples} samples"
                bench.results.append({"name": label, **found})
    chance = 1.96 * math.sqrt(0.95 * 0.05 / arguments.repetitions)
    print(f"0.95 would be found within {0.95 - chance:.3f} to {0.95 + chance:.3f}")
    bench.write(arguments.out, machine("cpu"))


if __name__ == "__main__":
    main()
