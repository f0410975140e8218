"""Training by fairseq's trainer, against a peer; speed, memory and losses by precision; on random
windows of 120 + 40 tokens.

    .venv/bin/python benchmarks/training.py                        # on a CPU, about 4 minutes
    python benchmarks/training.py --device cuda --pairs 32 --rows peer,energies,lm,adam   # on a GPU

Rows are ratios of rates (benchmarks/timing.py), or what a training gives. Writes the table to
standard output and JSON to runs/bench/.
"""

import argparse
import gc
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import numpy as np
import torch
from fairseq import options, tasks
from fairseq.data import indexed_dataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.optim.adam import Adam
from fairseq.trainer import Trainer

sys.path.append(str(Path(__file__).resolve().parent.parent))
from timing import PEAK, Timing, machine  # isort: skip

from fairseq_ebm.lm.checkpoint import DTYPES
from tests.stores import random_store, write_dictionary

PREFIX, WINDOW = 120, 160
BATCHES = 8
SYMBOLS = {"paper": 50092, "tiny": 996}  # without fairseq's own four
ENERGIES: Dict[str, Sequence[Sequence[Any]]] = {  # UniT and BiT, each with its flags
    "paper": (["energy_transformer_lm_unit"], ["energy_roberta_base"]),
    "tiny": (
        ["energy_transformer_lm", "--decoder-layers", 1, "--decoder-embed-dim", 32,
         "--decoder-ffn-embed-dim", 64, "--decoder-attention-heads", 2],
        ["energy_roberta", "--encoder-layers", 1, "--encoder-embed-dim", 32,
         "--encoder-ffn-embed-dim", 64, "--encoder-attention-heads", 2],
    ),
}  # fmt: skip
LMS: Dict[str, Sequence[Any]] = {
    "paper": ["transformer_lm_base_lm"],
    "tiny": ["transformer_lm", "--decoder-layers", 1, "--decoder-embed-dim", 32,
             "--decoder-input-dim", 32, "--decoder-output-dim", 32,
             "--decoder-ffn-embed-dim", 64, "--decoder-attention-heads", 2],
}  # fmt: skip
UPDATES = {"paper": 200, "tiny": 30}
WAYS = {  # precisions, and whether by torch's fused Adam
    "cuda": [("fp32", False), ("fp16", False), ("fp16", True), ("bf16", False), ("bf16", True)],
    "cpu": [("fp32", False), ("fp32", True)],
}


class Bench(Timing):
    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        super().__init__(arguments.device, arguments.runs)
        self.pairs, self.shape, self.folder = arguments.pairs, arguments.shape, folder
        self.symbols = SYMBOLS[self.shape]

    def energy(self, arch: str, *flags: Any) -> "Training":
        """Batches of ``pairs`` windows with a negative each."""
        neg = self.folder / "neg"
        if not neg.exists():
            random_store(neg, BATCHES * self.pairs, WINDOW, PREFIX, symbols=self.symbols)
        words = ["--task", "residual_ebm_lm", "--criterion", "conditional_nce"]
        return Training(self, neg, ["--arch", arch, *words, *flags])

    def lm(self, arch: str, *flags: Any) -> "Training":
        """Batches of ``pairs`` windows."""
        data = self.folder / "text"
        if not data.exists():
            write_dictionary(data, self.symbols)
            text = np.random.default_rng(1).integers(4, self.symbols, BATCHES * self.pairs * WINDOW)
            builder = indexed_dataset.MMapIndexedDatasetBuilder(f"{data}/train.bin", np.uint16)
            builder.add_item(torch.from_numpy(text))
            builder.finalize(f"{data}/train.idx")
        words = ["--task", "language_modeling", "--criterion", "cross_entropy"]
        words += ["--tokens-per-sample", WINDOW, "--share-decoder-input-output-embed"]
        return Training(self, data, ["--arch", arch, *words, *flags])


class Training:
    """fairseq's trainer, from the same weights each time, and its batches."""

    def __init__(self, bench: Bench, data: Path, words: Sequence[Any]) -> None:
        parser = options.get_training_parser()
        given = [data, *words, "--optimizer", "adam", "--lr", 1e-4, "--clip-norm", 0.25]
        given += ["--batch-size", bench.pairs, "--seed", 1]
        given += ["--cpu"] if bench.device.type == "cpu" else []
        arguments = options.parse_args_and_arch(parser, [str(word) for word in given])
        config = convert_namespace_to_omegaconf(arguments)
        task = tasks.setup_task(config.task)
        torch.manual_seed(1)
        model, criterion = task.build_model(config.model), task.build_criterion(config.criterion)
        self.bench, self.trainer = bench, Trainer(config, task, model, criterion)
        iterator = self.trainer.get_train_iterator(epoch=1)
        self.batches: List[Dict[str, Any]] = list(iterator.next_epoch_itr(shuffle=False))
        self.trainer.begin_epoch(1)

    def fuse(self) -> None:
        """torch's fused Adam in place of fairseq's, which differs in eps alone: fairseq's weighs as
        much as thirty of torch's at the first updates, so that tiny gradients move less."""
        optimizer = getattr(self.trainer.optimizer, "fp32_optimizer", self.trainer.optimizer)
        groups = optimizer.optimizer.param_groups
        optimizer._optimizer = torch.optim.Adam(
            [{"params": group["params"]} for group in groups],
            lr=groups[0]["lr"], betas=groups[0]["betas"], eps=groups[0]["eps"], fused=True,
        )  # fmt: skip

    def measure(self, name: str, precision: str, tokens: int, windows: int) -> None:
        """``tokens`` that a network reads in an update, and ``windows``, learnt by heart."""
        bench, updates = self.bench, UPDATES[self.bench.shape]
        is_cuda = bench.device.type == "cuda"
        losses, started = [], time.perf_counter()
        for update in range(updates):
            log = self.trainer.train_step([self.batches[update % len(self.batches)]])
            losses.append(float(log["loss"]) if log else float("nan"))
            if update == 19:  # warm by now
                bench.wait()
                started = time.perf_counter()
        bench.wait()
        seconds = (time.perf_counter() - started) / (updates - 20)
        bench.report(
            name,
            loss_at=[round(losses[i], 3) for i in (0, 9, 49, 99, 199) if i < updates],
            windows_per_second=windows / seconds,
            tokens_per_second=tokens / seconds,
            share_of_peak=6 * self.products() * tokens / seconds / PEAK[DTYPES[precision]]
            if is_cuda
            else None,
            peak_gib=torch.cuda.max_memory_allocated() / 2**30 if is_cuda else None,
        )

    def products(self) -> int:
        """Weights that multiply a token. A language model's embedding is its output layer, too."""
        named = self.trainer.model.named_parameters()
        is_lm = self.trainer.cfg.task._name == "language_modeling"
        return sum(p.numel() for n, p in named if "embed" not in n or (is_lm and "tokens" in n))


def row_peer(bench: Bench) -> None:
    """fairseq's whole trainer against a plain loop around Hugging Face's model."""
    if find_spec("transformers") is None:
        bench.report("training step / Hugging Face", cannot="no transformers here")
        return
    training = bench.energy("energy_roberta_base")
    windows = training.batches[0]["net_input"]["windows"].to(bench.device)
    bench.compare(
        f"training step, RoBERTa-base shape, {bench.pairs} pairs / Hugging Face",
        lambda: training.trainer.train_step([training.batches[0]]),
        hugging_face_step(windows),
        aim=1.0,
    )


def hugging_face_step(windows: torch.Tensor) -> Callable[[], None]:
    from transformers import RobertaConfig, RobertaForSequenceClassification  # noqa: PLC0415

    config = RobertaConfig(
        SYMBOLS["paper"] + 4, max_position_embeddings=514, num_labels=2, pad_token_id=1
    )
    model = RobertaForSequenceClassification(config).train().to(windows.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    start = windows.new_zeros((*windows.shape[:2], 1))
    inputs = torch.cat([start, windows], dim=2).flatten(0, 1)
    labels = torch.tensor([0, 1], device=windows.device).repeat(len(windows))

    def step() -> None:
        model(inputs, attention_mask=torch.ones_like(inputs), labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        optimizer.zero_grad()

    return step


def row_energies(bench: Bench) -> None:
    """UniT and BiT-base, in half precision where there is a GPU, as fairseq wants it; by its own
    Adam and by torch's. A causal energy reads a prefix once."""
    for arch, *shape in ENERGIES[bench.shape]:
        is_causal = arch.startswith("energy_transformer")
        tokens = bench.pairs * ((PREFIX + 2 * 40) if is_causal else 2 * (WINDOW + 1))
        measured(bench, bench.energy, [arch, "--dropout", 0, *shape], tokens, 2 * bench.pairs)


def row_lm(bench: Bench) -> None:
    """BASE LM likewise."""
    words = [*LMS[bench.shape], "--dropout", 0]
    measured(bench, bench.lm, words, bench.pairs * WINDOW, bench.pairs)


def measured(
    bench: Bench, make: Callable[..., Training], words: Sequence[Any], tokens: int, windows: int
) -> None:
    for precision, fused in WAYS["cuda" if bench.device.type == "cuda" else "cpu"]:
        gc.collect()  # the training before, which holds itself
        if bench.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        training = make(*words, *([] if precision == "fp32" else [f"--{precision}"]))
        if fused:
            training.fuse()
        name = f"{words[0]} {precision}" + (", fused Adam" if fused else "")
        training.measure(name, precision, tokens, windows)
        del training


def row_adam(bench: Bench) -> None:
    """A step of the optimizer alone: torch's fused Adam, and apex's if it is there, which fairseq
    then takes by itself, against the one that fairseq has."""
    model = bench.energy(*ENERGIES[bench.shape][1]).trainer.model
    kinds: Dict[str, Callable[[List[torch.nn.Parameter]], Any]] = {
        "torch's fused": lambda weights: torch.optim.Adam(weights, lr=1e-4, fused=True)
    }
    if find_spec("apex") is not None:
        from apex.optimizers import FusedAdam  # noqa: PLC0415 (rarely there)

        kinds["apex's fused"] = lambda weights: FusedAdam(weights, lr=1e-4)

    def stepped(make: Callable[[List[torch.nn.Parameter]], Any]) -> Callable[[], Any]:
        weights = [torch.nn.Parameter(p.detach().clone()) for p in model.parameters()]
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        return make(weights).step

    own = stepped(lambda weights: Adam(weights, lr=1e-4))
    for name, make in kinds.items():
        bench.compare(f"a step of {name} Adam / fairseq's own", stepped(make), own)


ROWS = {"peer": row_peer, "energies": row_energies, "lm": row_lm, "adam": row_adam}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default="peer", help="(default: %(default)s)")
    parser.add_argument("--shape", choices=ENERGIES, default="paper", help="of all but the peer's")
    parser.add_argument("--pairs", type=int, default=4, help="pairs in a batch")
    parser.add_argument("--runs", type=int, default=3, help="pairs of runs, of which the median")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", default="runs/bench/training.json")
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
