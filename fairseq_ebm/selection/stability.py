"""Whether selection can work, before a long training: do ranks of generic examples agree with
themselves?

An example x is worth q_x = ⟨∇ℓ̄_x(θ), ∇L(specific; θ)⟩: by so much a small step on x lowers the
specific loss. Compared are ranks by two halves of the specific text at one θ, and by the whole at
two checkpoints. The paper's abstract names a simple test that is not described in anything at hand:
this one is ours.
"""

from typing import Any, Dict, List, Tuple

import numpy as np
import torch
from fairseq import utils
from scipy import stats
from torch import Tensor

from ..data.streams import philox
from ..data.tokenizers import DICTIONARY_NAME, require_same_dictionary
from ..errors import OptionError
from ..lm.checkpoint import load_base_lm
from ..lm.directional import Landscape, lengths_of
from ..options import Record
from ..progress import progress
from ..provenance import versions
from .blocks import Sample, identity, load_blocks, sources_of
from .options import SelectionTest

KIND = "selection_test"
AT_ONCE = 32
RESAMPLED = 1000
STREAMS = ("generic", "specific", "bootstrap")  # of random numbers


def selection_test(options: SelectionTest) -> Record:
    first, second = options.data / DICTIONARY_NAME, options.specific / DICTIONARY_NAME
    require_same_dictionary(first, second, f"--specific: prepared with {second}")
    generic, rows = _some(options, options.data, options.examples, "generic")
    specific, own = _some(options, options.specific, options.specific_examples, "specific")
    if len(own) < 4:
        raise OptionError("{specific}: fewer than 4 examples, which are no two halves")
    halves = [own[: len(own) // 2], own[len(own) // 2 :]]
    worth: List[Tuple[Tensor, Tensor, Tensor]] = []
    for path in options.path:
        lm = load_base_lm(path, options.data, options.precision, options.device)
        lm.require_window(options.tokens_per_sample, "{tokens_per_sample}")
        landscape = Landscape(lm.model, lm.dictionary.pad())
        batches = _batches(generic, rows, options.device)
        one, other = (
            _gradient(landscape, _batches(specific, half, options.device)) for half in halves
        )
        found = [
            _worth(landscape, progress(batches, f"ranking by {path.name}"), direction)
            for direction in (one, other, (one + other) / 2)
        ]
        worth.append((found[0], found[1], found[2]))
    record: Record = {"kind": KIND, "examples": len(rows), "specific_examples": len(own)}
    record["halves"] = [
        {"path": str(path), **_agreement(one, other, options.seed)}
        for path, (one, other, _) in zip(options.path, worth)
    ]
    record["checkpoints"] = [
        {"path": str(path), "and": str(then), **_agreement(now[2], after[2], options.seed)}
        for path, then, now, after in zip(options.path, options.path[1:], worth, worth[1:])
    ]
    record["helpful"] = [float((each[2] > 0).double().mean()) for each in worth]
    sources = sources_of(options.data, options.split, generic)
    if sources is not None:
        record["sources"] = _by_source(sources[0], sources[1][rows], worth[-1][2])
    of = {"generic": options.data, "specific": options.specific}
    record["of"] = {n: identity(path, options.split, options.cut) for n, path in of.items()}
    return {**record, "seed": options.seed, "versions": versions("torch")}


def _some(options: SelectionTest, data: Any, count: int, name: str) -> Tuple[Any, np.ndarray]:
    """Blocks, and rows of them in a random order; none that is longer than others may be."""
    blocks = load_blocks(data, options.split, options.cut)
    rows = np.flatnonzero(np.asarray(blocks.sizes) <= options.tokens_per_sample)
    order = philox(options.seed, STREAMS.index(name)).permutation(len(rows))
    return blocks, rows[order[:count]]


def _batches(blocks: Any, rows: np.ndarray, device: torch.device) -> List[Sample]:
    parts = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
    batches = [blocks.collater([blocks[int(row)] for row in part]) for part in parts]
    on_gpu = device.type != "cpu"
    return [utils.move_to_cuda(batch, device) if on_gpu else batch for batch in batches]


def _gradient(landscape: Landscape, batches: List[Sample]) -> Tensor:
    """Of the mean over all tokens."""
    tokens = [lengths_of(batch, landscape.padding).sum() for batch in batches]
    total = torch.zeros_like(landscape.theta)
    for batch, n in zip(batches, tokens):
        total += landscape.gradient(batch)[1] * n
    return total / torch.stack(tokens).sum()


def _worth(landscape: Landscape, batches: Any, direction: Tensor) -> Tensor:
    return torch.cat([landscape.along(batch, direction).cpu() for batch in batches])


def _agreement(one: Tensor, other: Tensor, seed: int) -> Dict[str, Any]:
    """Spearman's correlation of ranks, its 95% bootstrap interval over examples, and how many of
    the best tenth by one are among the best tenth by the other."""
    a, b = one.numpy(), other.numpy()
    draws = philox(seed, STREAMS.index("bootstrap")).integers(len(a), size=(RESAMPLED, len(a)))
    spread = [float(stats.spearmanr(a[rows], b[rows]).statistic) for rows in draws]
    low, high = np.quantile(spread, [0.025, 0.975])
    tenth = max(1, len(a) // 10)
    best = [set(np.argsort(-each, kind="stable")[:tenth].tolist()) for each in (a, b)]
    found = float(stats.spearmanr(a, b).statistic)
    return {
        "correlation": found,
        "correlation_ci95": [float(low), float(high)],
        "best_shared": len(best[0] & best[1]) / tenth,
        "best_by_chance": tenth / len(a),
    }


def _by_source(names: List[str], labels: np.ndarray, worth: Tensor) -> Record:
    """Shares of each source among all examples and among the best tenth."""
    best = np.argsort(-worth.numpy(), kind="stable")[: max(1, len(labels) // 10)]
    return {
        name: {"share": float((labels == i).mean()), "of_best": float((labels[best] == i).mean())}
        for i, name in enumerate(names)
    }
