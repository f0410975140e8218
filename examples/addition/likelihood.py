"""The language model's own log-likelihood as a classifier: likelihood.py NEG

The threshold is the best on the subset valid; accuracy and P@1 are of the subset test.
"""

import sys
from pathlib import Path
from typing import Tuple

import numpy as np
import torch

from fairseq_ebm.data.store import NegativesSubset
from fairseq_ebm.numerics.discrimination import balanced_accuracy, precision_at_1


def scores(neg: Path, subset: str) -> Tuple[torch.Tensor, torch.Tensor]:
    """-log P_LM of the real continuations (N,) and of the generated ones (N, K)."""
    examples = NegativesSubset(neg, subset)
    real = np.array([examples[i].real_log_p for i in range(len(examples))])
    generated = np.stack([examples[i].log_p for i in range(len(examples))])
    return -torch.from_numpy(real), -torch.from_numpy(generated)


def main() -> None:
    neg = Path(sys.argv[1])
    real, generated = scores(neg, "valid")
    both = torch.cat([real, generated.flatten()]).double()
    candidates = both.quantile(torch.linspace(0, 1, 201, dtype=torch.float64))
    # Real text may be more or less likely than samples: try both sides of the threshold.
    sign, threshold = max(
        ((s, s * float(t)) for s in (1, -1) for t in candidates),
        key=lambda choice: balanced_accuracy(choice[0] * real, choice[0] * generated, choice[1]),
    )
    real, generated = scores(neg, "test")
    accuracy = balanced_accuracy(sign * real, sign * generated, threshold)
    first = precision_at_1(real, generated)
    print(f"log-likelihood of the language model: accuracy {accuracy:.4f} p_at_1 {first:.4f}")


if __name__ == "__main__":
    main()
