"""The share of result digits that are right after joint sampling from n proposals, by each of its
rules, beside an oracle that picks the best of the n: correct.py DATA POOLS.jsonl OUT.json

Of each pool's proposals, n after n are one small pool. What a rule's draw has right is the mean
over the proposals with their chances, so nothing is left to chance but the proposals. Rules
cost the same: importance resampling (snis) and a Metropolis chain take n proposals for a draw, and
rejection, of which the threshold is chosen for it, n on average.
"""

import argparse
import json
import math
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.reports.figures import BLUE, GREY, save
from fairseq_ebm.reports.page import Picture

SIZES = (1, 5, 10, 20, 40, 80)
NAMES = {"oracle": GREY, "snis": BLUE, "metropolis": "tab:orange", "rejection": "tab:green"}


def right_digits(prompt: str, text: str) -> float:
    """Of "1 2 + 3 4 =" and a continuation: which share of the digits of the sum it has right."""
    a, b = prompt.replace(" ", "").rstrip("=").split("+")
    truth = str(int(a) + int(b)).zfill(len(a) + 1)
    found = text.replace(" ", "").split("\n")[0]
    return sum(x == y for x, y in zip(truth, found)) / len(truth)


def by_resampling(log_w: np.ndarray) -> np.ndarray:
    """Chances (n,) of proposals with log-weights (n,)."""
    weights = np.exp(log_w - log_w.max())
    return weights / weights.sum()


def by_metropolis(log_w: np.ndarray) -> np.ndarray:
    """Of being the state after the last proposal. Proposal i takes over from j with probability
    min(1, w_i / w_j); the first that has weight begins."""
    chances = np.zeros(len(log_w))
    with_weight = np.flatnonzero(log_w > -np.inf)
    chances[with_weight[0]] = 1
    for k, i in enumerate(with_weight[1:], 1):
        before = with_weight[:k]
        taken = chances[before] * np.exp(np.minimum(0, log_w[i] - log_w[before]))
        chances[before] -= taken
        chances[i] = taken.sum()
    return chances


def by_rejection(log_w: np.ndarray, n: int) -> np.ndarray:
    """Of proposals that are accepted with probability min(1, w / beta), where one in n is, of
    all that there are."""

    def accepted(log_beta: float) -> np.ndarray:
        return np.exp(np.minimum(0, log_w - log_beta))

    low = log_w[log_w > -np.inf].min()  # all that have weight are accepted
    high = log_w.max() + math.log(n)  # fewer than one in n
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if accepted(middle).mean() > 1 / n else (low, middle)
    return accepted(high) / accepted(high).sum()


def shares(records: list, size: int) -> "dict[str, float]":
    """What draws from ``size`` proposals have right, on average."""
    found: dict[str, list] = {name: [] for name in NAMES}
    for right, energies in records:
        found["rejection"].append(by_rejection(-energies, size) @ right)
        for start in range(0, len(right) - size + 1, size):
            some, log_w = right[start : start + size], -energies[start : start + size]
            found["snis"].append(by_resampling(log_w) @ some)
            found["metropolis"].append(by_metropolis(log_w) @ some)
            found["oracle"].append(some.max())
    return {name: float(np.mean(values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("DATA", "POOLS.jsonl", "OUT.json"):
        parser.add_argument(name, type=Path)
    data, path, out = vars(parser.parse_args()).values()
    decode = load_tokenizer(data).decode
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        (pool,) = record["pools"]
        right = [right_digits(record["prompt"], text) for text in map(decode, pool["tokens"])]
        energies = [math.inf if energy is None else energy for energy in pool["energies"]]
        records.append((np.array(right), np.array(energies)))
    rows = []
    heads = "".join(f"{name:>12}" for name in NAMES)
    print(f"{'n':>4}{heads}   share of the result's digits that are right")
    for size in SIZES:
        rows.append({"num_samples": size, **shares(records, size)})
        print(f"{size:>4}" + "".join(f"{rows[-1][name]:>12.3f}" for name in NAMES))
    out.write_text(json.dumps({"num_prompts": len(records), "rows": rows}, indent=2) + "\n")
    words = "the share of right digits against the number of proposals"
    print(f"drawn: {save(Picture('digits', words, partial(draw, rows)), out)}")


def draw(rows: "list[dict]", figure: Figure) -> None:
    axes = figure.add_subplot()
    for name, colour in NAMES.items():
        axes.plot(SIZES, [row[name] for row in rows], marker="o", color=colour, label=name)
    axes.set_xlabel("proposals for each sum")
    axes.set_ylabel("result digits that are right")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend()


if __name__ == "__main__":
    main()
