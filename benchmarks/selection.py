"""What an update of a language model costs when its text is chosen, against stock fairseq's at the
same number of examples learnt from; and the directional derivatives on which that rests.

    .venv/bin/python benchmarks/selection.py                  # on a CPU, about 5 minutes
    .venv/bin/python benchmarks/selection.py --shape paper    # 12 layers, bytes: about 20 minutes

All trainers are in one process, on random text, and make their updates in turn. Writes the table to
standard output and JSON to runs/bench/.
"""

import argparse
import logging
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import torch
from fairseq import options, tasks
from fairseq.data import indexed_dataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.trainer import Trainer

sys.path.append(str(Path(__file__).resolve().parent.parent))
from timing import Timing, machine  # isort: skip

import fairseq_ebm
from fairseq_ebm.lm.directional import Landscape
from tests.stores import write_dictionary

AIMS = {"classifier": 1.2, "dds": 2.5, "anograd": 2.5, "soba": 3.5}
SHAPES = {  # symbols, layers, width, tokens of an example, examples learnt from
    "small": (2000, 2, 128, 64, 16),
    "paper": (260, 12, 256, 256, 8),
}
ROWS: Dict[str, List[str]] = {
    "generic": ["--selection", "generic"],
    "mix": ["--selection", "mix"],
    "classifier": ["--selection", "classifier"],
    "classifier, bag of words": ["--selection", "classifier", "--weighting", "energy_bow"],
    "classifier, bag of words, every other update": [
        *["--selection", "classifier", "--weighting", "energy_bow", "--meta-every", "2"]
    ],
    "dds": ["--selection", "dds"],
    "dds, the limit": ["--selection", "dds", "--dds-lr", "0"],
    "dds, every other update": ["--selection", "dds", "--meta-every", "2"],
    "dds, half as many examples": ["--selection", "dds", "--meta-batch", "8"],
    "anograd": ["--selection", "anograd"],
    "anograd, half as many examples": ["--selection", "anograd", "--meta-batch", "8"],
    "anograd, by the Hessian": ["--selection", "anograd", "--anograd-norm", "hessian"],
    "soba": ["--selection", "soba"],
    "soba, Hessian-free": ["--selection", "soba", "--soba-hessian", "free"],
    "soba, half as many examples": ["--selection", "soba", "--meta-batch", "8"],
    "soba, every other update": ["--selection", "soba", "--meta-every", "2"],
}
TOGETHER = 4  # updates in turn


def write_text(folder: Path, symbols: int, examples: int, length: int) -> Path:
    """Random documents of one length."""
    write_dictionary(folder, symbols - 4)
    dtype = indexed_dataset.best_fitting_int_dtype(symbols)
    for seed, split in enumerate(("train", "valid")):
        tokens = np.random.default_rng(seed).integers(4, symbols, (examples, length))
        builder = indexed_dataset.MMapIndexedDatasetBuilder(f"{folder / split}.bin", dtype=dtype)
        for row in tokens:
            builder.add_item(torch.from_numpy(row))
        builder.finalize(f"{folder / split}.idx")
    return folder


class Training:
    """A trainer of fairseq's, which makes updates."""

    def __init__(self, data: Path, shape: Any, large: int, flags: List[str], cpu: bool) -> None:
        layers, width, length, size = shape[1:]
        task = ["--task", "data_selection_lm", "--specific", str(data)] if flags else []
        words = [str(data), *(task or ["--task", "language_modeling"]), *flags]
        words += ["--arch", "transformer_lm", "--criterion", "cross_entropy", "--dropout", "0.1"]
        words += ["--decoder-layers", layers, "--decoder-attention-heads", 4]
        words += ["--decoder-ffn-embed-dim", 4 * width, "--share-decoder-input-output-embed"]
        for part in ("embed", "input", "output"):
            words += [f"--decoder-{part}-dim", width]
        chooses = bool(flags) and flags[1] not in ("generic", "mix")
        words += ["--batch-size", large if chooses else size, "--tokens-per-sample", length]
        words += ["--selected-size", size] if task else []
        words += ["--optimizer", "adam", "--lr", 0.001, "--no-save", "--num-workers", 0]
        words += ["--save-dir", data / "none", *(["--cpu"] if cpu else [])]
        parser = options.get_training_parser()
        args = options.parse_args_and_arch(parser, [str(word) for word in words])
        cfg = convert_namespace_to_omegaconf(args)
        self._task = tasks.setup_task(cfg.task)
        model, criterion = (
            self._task.build_model(cfg.model),
            self._task.build_criterion(cfg.criterion),
        )
        self.trainer = Trainer(cfg, self._task, model, criterion)
        self._samples = self._dealt()

    def _dealt(self) -> Iterator[Any]:
        epoch = 1
        while True:
            batches = self.trainer.get_train_iterator(epoch)
            for batch in batches.next_epoch_itr(shuffle=True):
                yield [batch]
            epoch += 1

    def updates(self) -> None:
        for _ in range(TOGETHER):
            self.trainer.train_step(next(self._samples))


def steps(bench: Timing, data: Path, shape: Any, large: int) -> None:
    cpu = bench.device.type == "cpu"
    stock = Training(data, shape, large, [], cpu)
    others = {name: Training(data, shape, large, flags, cpu) for name, flags in ROWS.items()}
    for each in (stock, *others.values()):
        each.updates()
    times: Dict[str, List[float]] = {name: [] for name in others}
    for _ in range(bench.runs):
        for name, each in others.items():
            peer = bench.seconds(stock.updates)
            times[name].append(bench.seconds(each.updates) / peer)
    for name, ratios in times.items():
        bench.report(name, times=statistics.median(ratios), ratios=ratios, aim=AIMS.get(name))


def primitive(bench: Timing, data: Path, shape: Any) -> None:
    """Of a batch as large as that learnt from: microseconds an example, and numbers kept."""
    training = Training(data, shape, shape[-1], [], bench.device.type == "cpu")
    landscape = Landscape(training.trainer.model, padding=1)
    sample, _ = training.trainer._prepare_sample(next(training._samples)[0])
    direction = landscape.gradient(sample)[1]
    work = {
        "losses": lambda: landscape.losses(sample),
        "a gradient": lambda: landscape.gradient(sample),
        "along a direction": lambda: landscape.along(sample, direction),
        "Hessian times a direction": lambda: landscape.curvature(sample, direction),
    }
    for name, does in work.items():
        does()
        seconds = statistics.median(bench.seconds(does) for _ in range(2 * bench.runs))
        bench.report(name, microseconds_an_example=1e6 * seconds / sample["nsentences"])
    numbers = landscape.theta.numel()
    bench.report("memory of a landscape", megabytes=3 * 4 * numbers / 1e6, parameters=numbers)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--times", type=int, default=16, help="a big batch is so many small ones")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/selection.json"))
    given = parser.parse_args()
    fairseq_ebm.register()
    logging.disable()  # fairseq's, of every epoch
    shape = SHAPES[given.shape]
    bench = Timing(given.device, given.runs)
    with tempfile.TemporaryDirectory() as folder:
        large = given.times * shape[-1]
        data = write_text(Path(folder) / "text", shape[0], 4 * large, shape[3])
        primitive(bench, data, shape)
        steps(bench, data, shape, large)
    bench.write(given.out, machine(given.device, shape=given.shape, big_batch=large))


if __name__ == "__main__":
    main()
