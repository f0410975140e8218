"""What a language model of n-grams gives on the same text, alone and mixed with a neural one.

    python benchmarks/ngram_lm.py runs/demo/data runs/demo/lm/checkpoint_best.pt …

An energy that knows n-grams is to be compared with a language model that does: interpolated
Kneser-Ney of order 5, whose probabilities are mixed, at each token, with those of each LM. The
share is the best of the subset valid. Windows are those of ``eval-lm --window 64 --prefix-length
32 --stride 64 --max-windows 200``.
"""

import argparse
import math
from collections import Counter
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

from fairseq_ebm.data.tokenizers import DICTIONARY_NAME, load_dictionary
from fairseq_ebm.data.windows import WindowOptions, Windows, running_text
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.scoring import token_log_probs
from fairseq_ebm.registration import register

WINDOW, PREFIX = 64, 32
DISCOUNTS = (0.5, 0.7, 0.8, 0.85, 0.9)  # by order
SHARES = np.arange(0.02, 1.0, 0.02)

Ngram = Tuple[int, ...]


class NgramLM:
    """Interpolated Kneser-Ney: lower orders count in how many contexts a symbol stands."""

    def __init__(self, text: Sequence[int], symbols: int, order: int = len(DISCOUNTS)) -> None:
        self.symbols, self.order = symbols, order
        self.counts: List[Counter] = [Counter() for _ in range(order)]
        self.counts[-1].update(zip(*(text[i:] for i in range(order))))
        for n in range(order - 1, 0, -1):
            self.counts[n - 1].update(ngram[1:] for ngram in self.counts[n])
        self.totals: List[Counter] = []  # of each context: the sum of its counts, and how many
        self.kinds: List[Counter] = []
        for counts in self.counts:
            total, kinds = Counter(), Counter()
            for ngram, count in counts.items():
                total[ngram[:-1]] += count
                kinds[ngram[:-1]] += 1
            self.totals.append(total)
            self.kinds.append(kinds)

    def probability(self, ngram: Ngram) -> float:
        """Of the last symbol of ``ngram`` after the others."""
        result = 1.0 / self.symbols
        for n in range(1, min(self.order, len(ngram)) + 1):
            part = ngram[len(ngram) - n :]
            total = self.totals[n - 1][part[:-1]]
            if not total:
                break
            discount = DISCOUNTS[n - 1]
            left = discount * self.kinds[n - 1][part[:-1]] * result
            result = (max(self.counts[n - 1][part] - discount, 0.0) + left) / total
        return result

    def log_probs(self, windows: Tensor) -> Tensor:
        """(N, T) -> (N, T - PREFIX)"""
        rows = windows.tolist()
        return torch.tensor(
            [
                [
                    math.log(self.probability(tuple(row[max(0, i + 1 - self.order) : i + 1])))
                    for i in range(PREFIX, len(row))
                ]
                for row in rows
            ],
            dtype=torch.float64,
        )


def windows_of(data: Path, subset: str, most: int) -> Tensor:
    windows = Windows(data, subset, WindowOptions(WINDOW, WINDOW, (PREFIX,), most))
    return torch.from_numpy(np.stack([windows.tokens(i) for i in range(len(windows))])).long()


def share_in(text: Sequence[int], other: Sequence[int], n: int) -> float:
    """Of the n-grams of ``other``: which share stands in ``text`` word for word?"""
    known = set(zip(*(text[i:] for i in range(n))))
    return float(np.mean([ngram in known for ngram in zip(*(other[i:] for i in range(n)))]))


def mixed(one: Tensor, other: Tensor, share: float) -> Tensor:
    return torch.logaddexp(one + math.log1p(-share), other + math.log(share))


def perplexity(log_probs: Tensor) -> float:
    return math.exp(-float(log_probs.mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("lms", type=Path, nargs="*", metavar="LM.pt")
    parser.add_argument("--max-windows", type=int, default=200)
    given = parser.parse_args()
    register()
    text = running_text(given.data, "train").tolist()
    ours = NgramLM(text, len(load_dictionary(given.data / DICTIONARY_NAME)))
    windows = {name: windows_of(given.data, name, given.max_windows) for name in ("valid", "test")}
    counted = {name: ours.log_probs(each) for name, each in windows.items()}
    rows = [[f"{ours.order}-grams alone", "", f"{perplexity(counted['test']):.2f}", ""]]
    for path in given.lms:
        lm = load_base_lm(path, given.data, "fp32", torch.device("cpu")).model
        judged: Dict[str, Tensor] = {
            name: torch.cat([token_log_probs(lm, part, PREFIX, True) for part in each.split(64)])
            for name, each in windows.items()
        }
        valid, test = (judged[name].double() for name in ("valid", "test"))
        share = min(SHARES, key=lambda s: -float(mixed(valid, counted["valid"], s).mean()))
        both = perplexity(mixed(test, counted["test"], share))
        rows.append([str(path), f"{perplexity(test):.2f}", f"{both:.2f}", f"{share:.2f}"])
    heads = ["language model", "alone", "mixed with 5-grams", "their share"]
    test_text = running_text(given.data, "test").tolist()
    shares = (f"{share_in(text, test_text, n):.1%} of its {n}-grams" for n in (4, 8, 16))
    print(f"test has in common with train: {', '.join(shares)}")
    print(tabulate(rows, heads, disable_numparse=True))


if __name__ == "__main__":
    main()
