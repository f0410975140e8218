"""Training and scoring speed of energies, against peers, on random windows of 120 + 40 tokens.

    .venv/bin/python benchmarks/energies.py                        # on a CPU, about 6 minutes
    python benchmarks/energies.py --device cuda --pairs 32 --samples 4096 \\
        --rows correct,pool,train,precision                        # on a GPU

Rows are ratios of rates (benchmarks/timing.py). Writes the table to standard output and JSON to
runs/bench/.
"""

import argparse
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.optim.adam import Adam
from fairseq.trainer import Trainer

sys.path.append(str(Path(__file__).resolve().parent.parent))
from timing import PEAK, Timing, machine  # isort: skip

from fairseq_ebm.lm.checkpoint import DTYPES
from fairseq_ebm.models.energy_transformer_lm import CausalEnergy, CausalEnergyConfig
from tests.stores import random_store, write_dictionary

PREFIX, WINDOW = 120, 160
SYMBOLS = 50092  # 50,096 with fairseq's own
ARCHS: Dict[str, Sequence[Sequence[Any]]] = {  # UniT and a bidirectional one, each with its flags
    "paper": (["energy_transformer_lm_unit"], ["energy_roberta_base"]),
    "tiny": (
        ["energy_transformer_lm", "--decoder-layers", 1, "--decoder-embed-dim", 32,
         "--decoder-ffn-embed-dim", 64, "--decoder-attention-heads", 2],
        ["energy_roberta", "--encoder-layers", 1, "--encoder-embed-dim", 32,
         "--encoder-ffn-embed-dim", 64, "--encoder-attention-heads", 2],
    ),
}  # fmt: skip
UPDATES = {"paper": 200, "tiny": 40}
WAYS = {  # precisions, and whether by torch's fused Adam
    "cuda": [("fp32", False), ("fp16", False), ("fp16", True), ("bf16", False), ("bf16", True)],
    "cpu": [("fp32", False), ("fp32", True)],
}


class Bench(Timing):
    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        super().__init__(arguments.device, arguments.runs)
        self.pairs, self.samples, self.shape = arguments.pairs, arguments.samples, arguments.shape
        self.folder = folder

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

    def trainer(self, arch: str, *flags: Any) -> Tuple[Trainer, List[Dict[str, Any]]]:
        """fairseq's trainer, and batches of ``pairs`` pairs."""
        neg = self.folder / "neg"
        if not neg.exists():
            random_store(neg, 8 * self.pairs, WINDOW, PREFIX, symbols=SYMBOLS)
        parser = options.get_training_parser()
        given = [neg, "--task", "residual_ebm_lm", "--arch", arch, "--criterion", "conditional_nce"]
        given += ["--optimizer", "adam", "--lr", 1e-4, "--clip-norm", 0.25]
        given += ["--batch-size", self.pairs, "--seed", 1, *flags]
        given += ["--cpu"] if self.device.type == "cpu" else []
        arguments = options.parse_args_and_arch(parser, [str(word) for word in given])
        config = convert_namespace_to_omegaconf(arguments)
        task = tasks.setup_task(config.task)
        torch.manual_seed(1)
        model, criterion = task.build_model(config.model), task.build_criterion(config.criterion)
        trainer = Trainer(config, task, model, criterion)
        batches = list(trainer.get_train_iterator(epoch=1).next_epoch_itr(shuffle=False))
        trainer.begin_epoch(1)
        return trainer, batches


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


def row_train(bench: Bench) -> None:
    """fairseq's whole trainer against a plain loop around Hugging Face's model."""
    trainer, batches = bench.trainer("energy_roberta_base")
    windows = batches[0]["net_input"]["windows"].to(bench.device)
    bench.compare(
        f"training step, RoBERTa-base shape, {bench.pairs} pairs / Hugging Face",
        lambda: trainer.train_step([batches[0]]),
        hugging_face_step(windows),
        aim=1.0,
    )


def hugging_face_step(windows: torch.Tensor) -> Callable[[], None]:
    from transformers import RobertaConfig, RobertaForSequenceClassification  # noqa: PLC0415

    config = RobertaConfig(SYMBOLS + 4, max_position_embeddings=514, num_labels=2, pad_token_id=1)
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


def row_precision(bench: Bench) -> None:
    """UniT and BiT-base from the same start on the same 8 batches, which they learn by heart; in
    half precision where there is a GPU, as fairseq wants it; by its own Adam and by torch's."""
    is_cuda, updates = bench.device.type == "cuda", UPDATES[bench.shape]
    for arch, *shape in ARCHS[bench.shape]:
        for precision, fused in WAYS["cuda" if is_cuda else "cpu"]:
            flags = [*shape, *([] if precision == "fp32" else [f"--{precision}"])]
            trainer, batches = bench.trainer(arch, "--dropout", 0, *flags)
            if fused:
                fuse(trainer)
            losses, started = [], time.perf_counter()
            for update in range(updates):
                log = trainer.train_step([batches[update % len(batches)]])
                losses.append(float(log["loss"]) if log else float("nan"))
                if update == 19:  # warm by now
                    bench.wait()
                    started = time.perf_counter()
            bench.wait()
            # The epoch of fairseq's schedule plays no part; tokens are those that are encoded.
            seconds = (time.perf_counter() - started) / (updates - 20)
            shared = arch.startswith("energy_transformer")
            tokens = bench.pairs * ((PREFIX + 2 * 40) if shared else 2 * (WINDOW + 1))
            weights = sum(
                p.numel() for n, p in trainer.model.named_parameters() if "embed" not in n
            )
            bench.report(
                f"{arch} {precision}" + (", fused Adam" if fused else ""),
                loss_at=[round(losses[i], 3) for i in (0, 9, 49, 99, 199) if i < updates],
                windows_per_second=2 * bench.pairs / seconds,
                tokens_per_second=tokens / seconds,
                share_of_peak=6 * weights * tokens / seconds / PEAK[DTYPES[precision]]
                if is_cuda
                else None,
                peak_gib=torch.cuda.max_memory_allocated() / 2**30 if is_cuda else None,
            )


def fuse(trainer: Trainer) -> None:
    """torch's fused Adam in place of fairseq's, which differs in eps alone:
    fairseq's weighs as much as thirty of torch's at the first updates: tiny gradients move less."""
    optimizer = getattr(trainer.optimizer, "fp32_optimizer", trainer.optimizer)
    groups = optimizer.optimizer.param_groups
    optimizer._optimizer = torch.optim.Adam(
        [{"params": group["params"]} for group in groups],
        lr=groups[0]["lr"], betas=groups[0]["betas"], eps=groups[0]["eps"], fused=True,
    )  # fmt: skip


def row_adam(bench: Bench) -> None:
    """A step of the optimizer alone: torch's fused Adam, and apex's if it is there, which fairseq
    then takes by itself, against the one that fairseq has."""
    arch, *shape = ARCHS[bench.shape][1]
    trainer, _ = bench.trainer(arch, *shape)
    kinds: Dict[str, Callable[[List[torch.nn.Parameter]], Any]] = {
        "torch's fused": lambda weights: torch.optim.Adam(weights, lr=1e-4, fused=True)
    }
    if find_spec("apex") is not None:
        from apex.optimizers import FusedAdam  # noqa: PLC0415 (rarely there)

        kinds["apex's fused"] = lambda weights: FusedAdam(weights, lr=1e-4)

    def stepped(make: Callable[[List[torch.nn.Parameter]], Any]) -> Callable[[], Any]:
        weights = [torch.nn.Parameter(p.detach().clone()) for p in trainer.model.parameters()]
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        return make(weights).step

    own = stepped(lambda weights: Adam(weights, lr=1e-4))
    for name, make in kinds.items():
        bench.compare(f"a step of {name} Adam / fairseq's own", stepped(make), own)


ROWS = {
    "correct": row_correct,
    "adam": row_adam,
    "pool": row_pool,
    "train": row_train,
    "precision": row_precision,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default="correct,pool,train", help="(default: %(default)s)")
    parser.add_argument("--shape", choices=ARCHS, default="paper", help="of those of precision")
    parser.add_argument("--pairs", type=int, default=4, help="pairs in a batch")
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
        for name in arguments.rows.split(","):
            ROWS[name](bench)
        bench.write(Path(arguments.out), where)


if __name__ == "__main__":
    main()
