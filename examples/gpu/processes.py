"""Do several processes give what one gives? processes.py COUNT DEVICE OUT.json DATA LM.pt ENERGY.pt

Negatives' tokens to the last bit, bounds and pools of generation to 1e-6, and losses of a training
to 1e-4, whose gradients are summed in another order. COUNT processes, each with a GPU of its
own, or several with one.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import numpy as np
import torch

OURS = ["-m", "fairseq_ebm"]
WINDOWS = ["--window", "160", "--prefix-length", "120"]
TRAINING = [
    *["--task", "residual_ebm_lm", "--criterion", "conditional_nce", "--arch", "energy_roberta"],
    *["--encoder-layers", "1", "--encoder-embed-dim", "32", "--encoder-ffn-embed-dim", "64"],
    *["--encoder-attention-heads", "2", "--dropout", "0", "--optimizer", "adam", "--lr", "0.001"],
    *["--batch-size", "4", "--max-update", "6", "--seed", "1", "--num-workers", "0"],
    *["--disable-validation", "--no-save", "--log-format", "json", "--log-interval", "1"],
]
ALONE = ("CUDA_VISIBLE_DEVICES", "0")


class Visit(NamedTuple):
    count: int
    device: str
    folder: Path
    data: str
    lm: str
    energy: str

    @property
    def own(self) -> List[str]:
        return ["--cpu"] if self.device == "cpu" else []

    def one(self, *words: str) -> None:
        subprocess.run([sys.executable, *words], check=True, env={**os.environ, ALONE[0]: ALONE[1]})

    def all(self, *words: str) -> None:
        launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(self.count)]
        subprocess.run([sys.executable, *launcher, *words], check=True)


def negatives(visit: Visit) -> bool:
    stores = [visit.folder / name for name in ("neg-one", "neg-all")]
    for store, run in zip(stores, (visit.one, visit.all)):
        shutil.rmtree(store, ignore_errors=True)
        run(*OURS, "negatives", visit.data, "--path", visit.lm, *WINDOWS, "--stride", "160",
            "--max-windows", "48", "--subsets", "train,valid", "--quiet", *visit.own, "--dest",
            str(store))  # fmt: skip
    visit.one(*OURS, "negatives", "--merge", str(stores[1]), "--quiet")
    names = sorted(path.relative_to(stores[0]) for path in stores[0].rglob("*.npy"))
    return len(names) > 0 and all(
        _same_array(*(np.load(store / name) for store in stores))
        for name in names
        if name.name != "checksums.npy"
    )


def _same_array(one: Any, other: Any) -> bool:
    """Tokens to the last bit; log-probabilities but for rounding, as threads are other ones."""
    exact = one.shape == other.shape and one.dtype == other.dtype
    return exact and bool(np.allclose(one, other, rtol=1e-5, atol=0) if one.dtype.kind == "f"
                          else (one == other).all())  # fmt: skip


def bounds(visit: Visit) -> bool:
    reports = [visit.folder / f"bounds-{name}.json" for name in ("one", "all")]
    for report, run in zip(reports, (visit.one, visit.all)):
        for path in visit.folder.glob(f"{report.stem}*"):
            path.unlink()
        run(*OURS, "eval-lm", visit.data, "--path", f"{visit.lm}:{visit.energy}", *WINDOWS,
            "--stride", "160", "--max-windows", "8", "--num-samples", "64", "--quiet", *visit.own,
            "--results-path", str(report))  # fmt: skip
    visit.one(*OURS, "eval-lm", "--merge", str(reports[1]), "--quiet")
    one, other = (json.loads(report.read_text()) for report in reports)
    names = ("base_ppl", "joint_ppl_lower", "joint_ppl_upper", "num_windows")
    return all(_near(one[name], other[name], 1e-6) for name in names)


def generation(visit: Visit) -> bool:
    plugin = subprocess.run([sys.executable, *OURS, "user-dir"], capture_output=True, text=True,
                            check=True).stdout.strip()  # fmt: skip
    pools = [visit.folder / f"pools-{name}.jsonl" for name in ("one", "all")]
    for path in visit.folder.glob("pools-*"):
        path.unlink()
    for pool, run in zip(pools, (visit.one, visit.all)):
        run("-m", "fairseq_cli.generate", visit.data, "--user-dir", plugin, "--task",
            "residual_ebm_lm", "--path", f"{visit.lm}:{visit.energy}", "--gen-subset", "valid",
            "--max-windows", "6", "--prefix-size", "120", "--window", "160", "--sampling", "--beam",
            "1", "--nbest", "1", "--joint-samples", "16", "--num-workers", "0", *visit.own,
            "--joint-results-path", str(pool))  # fmt: skip
    one = _prompts([pools[0]])
    other = _prompts(sorted(visit.folder.glob("pools-all.shard-*")))
    return len(one) > 0 and one.keys() == other.keys() and all(
        one[number]["draws"][0]["text"] == other[number]["draws"][0]["text"]
        and all(_near(a, b, 1e-6) for a, b in zip(*(
            each[number]["pools"][0]["energies"] for each in (one, other))))
        for number in one
    )  # fmt: skip


def _prompts(paths: List[Path]) -> Dict[str, Any]:
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return {line["prompt"] + str(line.get("number", line.get("id", ""))): line for line in lines}


def training(visit: Visit) -> bool:
    """One process with that many batches an update, and that many processes with one each; on CPUs
    over gloo, where there are not as many GPUs."""
    on_gpus = visit.device == "cuda" and torch.cuda.device_count() >= visit.count
    own = [] if on_gpus else ["--cpu"]
    words = ["-m", "fairseq_cli.train", str(visit.folder / "neg-one"), "--user-dir",
             subprocess.run([sys.executable, *OURS, "user-dir"], capture_output=True, text=True,
                            check=True).stdout.strip(), *TRAINING, *own]  # fmt: skip
    together = ["--update-freq", str(visit.count)]
    one = subprocess.run([sys.executable, *words, *together], text=True, capture_output=True,
                         check=True, env={**os.environ, ALONE[0]: ALONE[1]})  # fmt: skip
    if on_gpus:  # fairseq starts one for each
        several = subprocess.run(
            [sys.executable, *words], text=True, capture_output=True, check=True
        )
        output = several.stdout + several.stderr
    else:
        output = _over_gloo(visit, words)
    losses = [_losses(text) for text in (one.stdout + one.stderr, output)]
    return len(losses[0]) > 0 and len(losses[0]) == len(losses[1]) and all(
        _near(a, b, 1e-4) for a, b in zip(*losses)
    )  # fmt: skip


def _over_gloo(visit: Visit, words: List[str]) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    flags = ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp",
             "--distributed-init-method", address, "--distributed-world-size", str(visit.count),
             "--distributed-no-spawn", "--distributed-rank"]  # fmt: skip
    processes = [
        subprocess.Popen([sys.executable, *words, *flags, str(rank)], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for rank in range(visit.count)
    ]  # fmt: skip
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("".join(outputs))
    return outputs[0]


def _losses(output: str) -> List[float]:
    """Of the updates, as fairseq's log has them."""
    found = (line[line.index("{") :] for line in output.splitlines() if '"num_updates"' in line)
    records = [json.loads(line) for line in found]
    return [float(record["loss"]) for record in records if "loss" in record]


def _near(one: float, other: float, most: float) -> bool:
    return abs(one - other) <= most * max(1.0, abs(one))


CHECKS: Tuple[Callable[[Visit], bool], ...] = (negatives, bounds, generation, training)


def main() -> None:
    count, device, out, *models = sys.argv[1:]
    folder = Path(out).with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    rows: List[Dict[str, Any]] = []
    for check in CHECKS:
        rows.append({"row": check.__name__, "processes": count,
                     "same": check(Visit(int(count), device, folder, *models))})  # fmt: skip
        Path(out).write_text(json.dumps({"rows": rows}, indent=2) + "\n")
    raise SystemExit(not all(row["same"] for row in rows))


if __name__ == "__main__":
    main()
