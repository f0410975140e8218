"""What perplexities and generation cost beyond sampling and scoring, in time and in memory.

    .venv/bin/python benchmarks/joint.py          # about 20 minutes on two cores

The sampler's shape (benchmarks/sampling.py: 6 layers, d 512, 8,008 symbols, 120 + 40 tokens), and a
causal energy of the same size. Writes a table to standard output and JSON to runs/bench/.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable

import torch

sys.path.append(str(Path(__file__).resolve().parent.parent))
from energies import Bench as EnergyBench  # isort: skip
from sampling import NEW, PREFIX, build_model  # isort: skip
from timing import Timing, machine  # isort: skip

from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.evaluation.log_probs import EvaluationOptions, evaluate
from fairseq_ebm.joint.continuation import GenerationOptions, continue_prompt
from fairseq_ebm.joint.model import Joint
from fairseq_ebm.lm.sampler import Sampler
from tests.evaluation.worlds import FixedWindows


def build_joint() -> Joint:
    model = build_model("small")
    with tempfile.TemporaryDirectory() as folder:
        options = argparse.Namespace(device="cpu", runs=1, samples=1)
        energy = EnergyBench(options, Path(folder)).causal(6, 512, 8, len(model.decoder.dictionary))
    return Joint(model, Sampler(model), energy)


def random_windows(length: int, joint: Joint) -> FixedWindows:
    generator = torch.Generator().manual_seed(1)
    symbols = len(joint.model.decoder.dictionary)
    return FixedWindows(torch.randint(4, symbols, (1, length), generator=generator), PREFIX)


def row_evaluate(bench: Timing, samples: int) -> None:
    joint = build_joint()
    windows = random_windows(PREFIX + NEW, joint)
    options = EvaluationOptions(num_samples=samples, sample_curve=(2, samples))
    compare(
        bench,
        joint,
        torch.from_numpy(windows.tokens(0))[:PREFIX],
        samples,
        "evaluation",
        1 / 1.3,
        lambda: list(evaluate(joint, windows, range(1), options)),
    )


def compare(
    bench: Timing,
    joint: Joint,
    prefix: torch.Tensor,
    samples: int,
    name: str,
    aim: float,
    work: Callable[[], Any],
) -> None:
    def sample_and_score() -> None:
        drawn = joint.sampler.sample(prefix[None], samples, NEW, [WindowStream(1, "bench", 0)])
        text = torch.cat([prefix.expand(1, samples, -1), drawn.tokens], dim=2)
        joint.energies(text, PREFIX)

    bench.compare(
        f"{name}, n = {samples} / sampling and scoring alone", work, sample_and_score, aim=aim
    )


def row_generate(bench: Timing, samples: int) -> None:
    joint = build_joint()
    prompt = torch.from_numpy(random_windows(PREFIX + NEW, joint).tokens(0))[:PREFIX]
    options = GenerationOptions(samples, window=PREFIX + NEW)
    compare(
        bench,
        joint,
        prompt,
        samples,
        "generation",
        1 / 1.2,
        lambda: continue_prompt(
            joint, prompt, options, lambda purpose: WindowStream(1, "bench", 0, purpose)
        ),
    )


def row_memory(bench: Timing, samples: int) -> None:
    """Each in a process of its own; few new tokens, which changes the time alone."""
    peaks = {}
    for n in (1000, 100_000):
        command = [sys.executable, __file__, "--peak", str(n)]
        peaks[n] = float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    bench.report(
        "peak of memory, 100,000 samples / 1,000",
        ratio=peaks[100_000] / peaks[1000],
        gib_at_1000=peaks[1000],
        gib_at_100000=peaks[100_000],
        aim=1.1,
    )


def peak(samples: int, new: int = 2) -> float:
    """GiB of this process after one window with so many samples."""
    joint = build_joint()
    options = EvaluationOptions(num_samples=samples)
    list(evaluate(joint, random_windows(PREFIX + new, joint), range(1), options))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", default="evaluate,generate,memory")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peak", type=int, help="print the peak of memory with so many samples")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/joint.json"))
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak(arguments.peak))
        return
    bench = Timing("cpu", arguments.runs)
    rows = {"evaluate": row_evaluate, "generate": row_generate, "memory": row_memory}
    for name in arguments.rows.split(","):
        rows[name](bench, arguments.samples)
    bench.write(arguments.out, machine("cpu"))


if __name__ == "__main__":
    main()
