"""Do cleverer estimates of log Z beat plain sampling at equal cost? On a toy world whose truth is
enumerated, and on real text, where a large plain pool stands for it.

    .venv/bin/python benchmarks/estimators.py
    .venv/bin/python benchmarks/estimators.py --data DATA --path lm.pt:energy.pt \\
        --window 64 --prefix-length 32

Writes a table to standard output and JSON to runs/bench/. For each method: the mean error of log
Z (bias), its standard deviation, how many plain samples one of its samples is worth, as a ratio of
mean squared errors, and at equal time. docs/benchmarks.md says what came of it.
"""

import argparse
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch
from scipy.stats import genpareto, qmc
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parent.parent))
from timing import Timing, add_models, machine  # isort: skip

from fairseq_ebm.data.windows import WindowOptions, Windows
from fairseq_ebm.joint.model import Joint
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.sampler import LMSamples, Sampler
from fairseq_ebm.models.checkpoint import load_energy
from fairseq_ebm.numerics.weights import pareto_k
from tests.evaluation.worlds import joint, log_z, random_energy, random_windows

Uniforms = Callable[[np.random.Generator, int, int], np.ndarray]


class Given:
    """Random numbers that are known beforehand, as the sampler takes them: in order."""

    def __init__(self, numbers: np.ndarray) -> None:
        self._rest = torch.from_numpy(numbers)

    def uniforms(self, m: int, length: int) -> Tensor:
        taken, self._rest = self._rest[:m], self._rest[m:]
        return taken


def plain(rng: np.random.Generator, n: int, length: int) -> np.ndarray:
    return rng.random((n, length))


def stratified_first(rng: np.random.Generator, n: int, length: int) -> np.ndarray:
    """One first token from each of n equal slices of probability."""
    numbers = rng.random((n, length))
    numbers[:, 0] = (np.arange(n) + numbers[:, 0]) / n
    return numbers


def latin_hypercube(rng: np.random.Generator, n: int, length: int) -> np.ndarray:
    """Every token's numbers in n equal slices, in an order of their own."""
    return qmc.LatinHypercube(length, seed=rng).random(n)


def sobol(rng: np.random.Generator, n: int, length: int) -> np.ndarray:
    """A scrambled Sobol' sequence."""
    return qmc.Sobol(length, scramble=True, seed=rng).random(n)


def antithetic(rng: np.random.Generator, n: int, length: int) -> np.ndarray:
    half = rng.random((n // 2, length))
    return np.concatenate([half, np.nextafter(1 - half, 0)])


def mean_weight(energies: np.ndarray, samples: LMSamples, entropy: np.ndarray) -> float:
    return _log_mean_exp(-energies)


def smoothed(energies: np.ndarray, samples: LMSamples, entropy: np.ndarray) -> float:
    """Pareto smoothing: the largest weights become quantiles of the tail fitted to them."""
    weights, n = np.sort(np.exp(-energies)), len(energies)
    shape = float(pareto_k(torch.from_numpy(-energies)))
    if math.isfinite(shape):
        size = math.ceil(min(0.2 * n, 3 * math.sqrt(n)))
        tail, threshold = weights[-size:], weights[-size - 1]
        scale = (tail - threshold).mean() * max(1e-3, 1 - shape)
        at = (np.arange(size) + 0.5) / size
        weights[-size:] = np.minimum(threshold + genpareto.ppf(at, shape, scale=scale), tail[-1])
    return math.log(weights.mean())


def seen_and_rest(energies: np.ndarray, samples: LMSamples, entropy: np.ndarray) -> float:
    """The distinct samples of the first half, weighted by probability, and of the second half those
    that are not among them: without bias for Z."""
    tokens, half = samples.tokens[0].numpy(), len(energies) // 2
    q, weights = np.exp(samples.log_q[0].numpy()), np.exp(-energies)
    seen, where = np.unique(tokens[:half], axis=0, return_index=True)
    known = {row.tobytes() for row in seen}
    new = np.array([row.tobytes() not in known for row in tokens[half:]])
    return math.log((q * weights)[where].sum() + (weights[half:] * new).mean())


def control_variate(energies: np.ndarray, samples: LMSamples, entropy: np.ndarray) -> float:
    """Regression on how surprising a sample is beyond what was expected: of mean 0 exactly."""
    surprise = samples.log_p[0].numpy() + entropy
    weights = np.exp(-energies)
    slope = np.cov(weights, surprise)[0, 1] / surprise.var(ddof=1)
    return math.log(max(weights.mean() - slope * surprise.mean(), 1e-300))


def _log_mean_exp(values: np.ndarray) -> float:
    return float(np.logaddexp.reduce(values) - math.log(len(values)))


METHODS: Dict[str, Tuple[Uniforms, Callable[[np.ndarray, LMSamples, np.ndarray], float]]] = {
    "plain": (plain, mean_weight),
    "stratified first token": (stratified_first, mean_weight),
    "Latin hypercube": (latin_hypercube, mean_weight),
    "scrambled Sobol'": (sobol, mean_weight),
    "antithetic": (antithetic, mean_weight),
    "Pareto-smoothed weights": (plain, smoothed),
    "distinct samples by probability": (plain, seen_and_rest),
    "control variate: surprise": (plain, control_variate),
}


def estimates(
    world: Joint, window: Tensor, prefix_length: int, n: int, repeats: int, name: str, seed: int
) -> np.ndarray:
    """log Z of one prefix, estimated again and again: (repeats,)."""
    uniforms, estimate = METHODS[name]
    prefix, length = window[None, :prefix_length], len(window) - prefix_length
    found = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        stream: Any = Given(uniforms(rng, n, length))
        samples = world.sampler.sample(prefix, n, length, [stream])
        text = torch.cat([prefix[0].expand(n, -1), samples.tokens[0]], dim=1)
        energies = world.energies(text.unsqueeze(0), prefix_length)[0].numpy()
        entropy = entropies(world, text, prefix_length) if estimate is control_variate else energies
        found.append(estimate(energies, samples, entropy))
    return np.array(found)


@torch.inference_mode()
def entropies(world: Joint, windows: Tensor, prefix_length: int) -> np.ndarray:
    """Of all predictions of the continuation, summed: (n,)."""
    start = windows.new_full((len(windows), 1), world.sampler.eos)
    logits, _ = world.model(torch.cat([start, windows[:, :-1]], dim=1))
    log_p = torch.log_softmax(logits[:, prefix_length:].double(), dim=-1)
    return -(log_p.exp() * log_p).sum(dim=(1, 2)).numpy()


@dataclass(frozen=True)
class Place:
    """Where methods are compared; ``truths``: log Z of each window's prefix."""

    name: str
    world: Joint
    windows: Tensor
    prefix_length: int
    truths: List[float]


def compare(bench: Timing, place: Place, methods: List[str], n: int, repeats: int) -> None:
    spent: Dict[str, float] = {}
    errors: Dict[str, np.ndarray] = {}
    for name in methods:
        start = time.perf_counter()
        errors[name] = np.stack(
            [
                estimates(place.world, window, place.prefix_length, n, repeats, name, seed) - truth
                for seed, (window, truth) in enumerate(zip(place.windows, place.truths))
            ]
        )  # (W, repeats)
        spent[name] = time.perf_counter() - start
    for name, error in errors.items():
        worth = (errors["plain"] ** 2).mean() / (error**2).mean()
        bench.report(
            f"{place.name}, n = {n}: {name}",
            bias=float(error.mean()),
            bias_standard_error=float(error.std(axis=1).mean() / math.sqrt(error.size)),
            sd=float(error.std(axis=1).mean()),
            worth=float(worth),
            worth_at_equal_time=float(worth * spent["plain"] / spent[name]),
        )


def from_checkpoints(arguments: argparse.Namespace) -> Tuple[Joint, Tensor]:
    device, data = torch.device("cpu"), Path(arguments.data)
    lm_path, energy_path = map(Path, arguments.path.split(":"))
    lm = load_base_lm(lm_path, data, "fp32", device)
    energy = load_energy(energy_path, data, "fp32", device).model
    options = WindowOptions(
        arguments.window, arguments.window, (arguments.prefix_length,), arguments.windows
    )
    windows = Windows(arguments.data, "test", options)
    text = np.stack([windows.tokens(i) for i in range(len(windows))]).astype(np.int64)
    return Joint(lm.model, Sampler(lm.model), energy), torch.from_numpy(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_models(parser, windows=8)
    parser.add_argument("--repeats", type=int, default=32)
    parser.add_argument("--reference", type=int, default=2**16, help="samples of the large pool")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS)[1:])
    parser.add_argument("--num-samples", type=int, default=256)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/estimators.json"))
    arguments = parser.parse_args()
    bench = Timing("cpu", 1)
    n, repeats = arguments.num_samples, arguments.repeats
    if arguments.data is None:
        world, windows = joint(random_energy()), random_windows(arguments.windows)
        truths = [log_z(world, window, 2) for window in windows]
        place = Place("toy", world, windows, 2, truths)
    else:
        world, windows = from_checkpoints(arguments)
        p, size = arguments.prefix_length, arguments.reference
        truths = [
            float(estimates(world, window, p, size, 1, "plain", 1000 + i)[0])
            for i, window in enumerate(windows)
        ]
        place = Place("text", world, windows, p, truths)
    compare(bench, place, ["plain", *arguments.methods], n, repeats)
    bench.write(arguments.out, machine("cpu"))


if __name__ == "__main__":
    main()
