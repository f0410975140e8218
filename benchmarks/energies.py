"""Scoring speed of energies, against peers, on random windows of 120 + 40 tokens.

    .venv/bin/python benchmarks/energies.py                        # on a CPU, about 2 minutes
    python benchmarks/energies.py --device cuda --samples 4096     # on a GPU

Rows are ratios of rates (benchmarks/timing.py). Writes the table to standard output and JSON to
runs/bench/.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch

sys.path.append(str(Path(__file__).resolve().parent.parent))
from timing import Timing, machine  # isort: skip

from fairseq_ebm.models.energy_transformer_lm import CausalEnergy, CausalEnergyConfig
from tests.stores import write_dictionary

PREFIX, WINDOW = 120, 160


class Bench(Timing):
    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        super().__init__(arguments.device, arguments.runs)
        self.samples, self.folder = arguments.samples, folder

    def causal(self, layers: int, width: int, heads: int, symbols: int) -> CausalEnergy:
        dictionary = write_dictionary(self.folder / f"dictionary {symbols}", symbols - 4)
        config = CausalEnergyConfig(
            decoder_layers=layers,
            decoder_embed_dim=width,
            decoder_ffn_embed_dim=4 * width,
            decoder_attention_heads=heads,
            decoder_normalize_before=True,
        )
        torch.manual_seed(0)
        model = CausalEnergy.build_model(config, SimpleNamespace(dictionary=dictionary))
        torch.nn.init.normal_(model.head.projection.weight)
        return model.eval()

    def pool(self, symbols: int) -> torch.Tensor:
        """(1, n, T): the samples of one prefix."""
        generator = torch.Generator().manual_seed(1)
        windows = torch.randint(4, symbols, (1, self.samples, WINDOW), generator=generator)
        windows[..., :PREFIX] = windows[:, :1, :PREFIX]
        return windows.to(self.device)


def row_correct(bench: Bench) -> None:
    """Shared prefixes on this device against the plain way in float32 on the CPU."""
    model = bench.causal(6, 512, 8, 8008)
    windows = bench.pool(8008)[:, :16]
    with torch.inference_mode():
        plain = model(windows.cpu())
        shared = model.to(bench.device)(windows, PREFIX).cpu()
    difference = float((plain - shared).abs().max())
    bench.report("energies, shared prefix / plain on the CPU: difference", largest=difference)


def row_pool(bench: Bench) -> None:
    model = bench.causal(6, 512, 8, 8008).to(bench.device)
    windows = bench.pool(8008)

    def score(shared: int) -> None:
        with torch.inference_mode():
            for chunk in windows.split(256, dim=1):
                model(chunk, shared)

    bench.compare(
        f"pool of {bench.samples} (120 + 40), shared prefix / plain",
        lambda: score(PREFIX),
        lambda: score(0),
        aim=3.0,
    )
    bench.compare(
        "  the same, against fairseq's decoder",
        lambda: score(PREFIX),
        lambda: stock_features(model, windows),
    )


@torch.inference_mode()
def stock_features(model: CausalEnergy, windows: torch.Tensor) -> None:
    for chunk in windows[0].split(256):
        model.decoder.extract_features(chunk, None)[0].mean(dim=1)


ROWS = {"correct": row_correct, "pool": row_pool}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default="correct,pool", help="(default: %(default)s)")
    parser.add_argument("--samples", type=int, default=256, help="samples of the pool")
    parser.add_argument("--runs", type=int, default=3, help="pairs of runs, of which the median")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", default="runs/bench/energies.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    where = machine(arguments.device)
    print("  ".join(f"{name} {value}" for name, value in where.items()))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        bench.write_to(Path(arguments.out), where)
        for name in arguments.rows.split(","):
            ROWS[name](bench)
        bench.write(Path(arguments.out), where)


if __name__ == "__main__":
    main()
