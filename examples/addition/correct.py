"""The share of result digits that are right after joint sampling from n proposals, beside an oracle
that picks the best of the n: correct.py DATA POOLS.jsonl OUT.json

Of each pool's proposals, n after n are one small pool. The share of its draws is the mean over the
proposals with their weights, so nothing is left to chance but the proposals themselves.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.reports.figures import BLUE, GREY, save
from fairseq_ebm.reports.page import Picture

SIZES = (1, 5, 10, 20, 40, 80)


def right_digits(prompt: str, text: str) -> float:
    """Of "1 2 + 3 4 =" and a continuation: which share of the digits of the sum it has right."""
    a, b = prompt.replace(" ", "").rstrip("=").split("+")
    truth = str(int(a) + int(b)).zfill(len(a) + 1)
    found = text.replace(" ", "").split("\n")[0]
    return sum(x == y for x, y in zip(truth, found)) / len(truth)


def shares(records: list, size: int) -> "tuple[list, list]":
    """(joint, oracle) of every small pool of ``size`` proposals."""
    joint, oracle = [], []
    for right, energies in records:
        for start in range(0, len(right) - size + 1, size):
            some, e = right[start : start + size], energies[start : start + size]
            weights = np.exp(e.min() - e)
            joint.append(float(weights @ some / weights.sum()))
            oracle.append(float(some.max()))
    return joint, oracle


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
        records.append((np.array(right), np.array(pool["energies"], dtype=float)))
    rows = []
    print(f"{'n':>4}{'joint':>9}{'oracle':>9}   share of the result's digits that are right")
    for size in SIZES:
        joint, oracle = (float(np.mean(values)) for values in shares(records, size))
        rows.append({"num_samples": size, "joint": joint, "oracle": oracle})
        print(f"{size:>4}{joint:>9.3f}{oracle:>9.3f}")
    out.write_text(json.dumps({"num_prompts": len(records), "rows": rows}, indent=2) + "\n")
    words = "the share of right digits against the number of proposals"
    print(f"drawn: {save(Picture('digits', words, partial(draw, rows)), out)}")


def draw(rows: "list[dict]", figure: Figure) -> None:
    axes = figure.add_subplot()
    for name, colour in (("oracle", GREY), ("joint", BLUE)):
        axes.plot(SIZES, [row[name] for row in rows], marker="o", color=colour, label=name)
    axes.set_xlabel("proposals for each sum")
    axes.set_ylabel("result digits that are right")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend()


if __name__ == "__main__":
    main()
