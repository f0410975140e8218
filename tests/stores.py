"""Stores of negatives from arrays, for tests that need no text."""

import numpy as np
import torch
from fairseq.data import Dictionary

from fairseq_ebm.files import sha256_of
from fairseq_ebm.negatives.arrays import BLOCK, ArraysWriter
from fairseq_ebm.negatives.store import FORMAT_VERSION, Manifest, begin, layout, mark_whole


def write_dictionary(folder, symbols):
    """``symbols`` symbols w0, w1, … beside fairseq's own four."""
    folder.mkdir(parents=True, exist_ok=True)
    dictionary = Dictionary()
    for i in range(symbols):
        dictionary.add_symbol(f"w{i}")
    dictionary.save(str(folder / "dict.txt"))
    return dictionary


def write_store(
    neg, real, negatives, prefix_length, symbols, subsets=("train", "valid"), **options
):
    """Windows ``real`` (N, T), ``negatives`` (N, K, T); the same content in each subset."""
    real, negatives = np.asarray(real), np.asarray(negatives)
    data = neg.with_name(neg.name + " data")
    write_dictionary(data, symbols)
    dictionary = {"size": symbols + 4, "sha256": sha256_of(data / "dict.txt")}
    source = {"language_model": {"sha256": "0" * 64, "architecture": "none"}}
    options = {"temperature": 1.0, "right_to_left": False, **options}
    begin(neg, Manifest(FORMAT_VERSION, source, options, dictionary, {}, {}), data)
    generated = slice(0, -prefix_length) if options["right_to_left"] else slice(prefix_length, None)
    count, window = real.shape
    arrays = layout(window, window - prefix_length, negatives.shape[1], symbols + 4)
    for subset in subsets:
        with ArraysWriter(neg / subset, arrays, count) as writer:
            for start in range(0, count, BLOCK):
                rows = np.arange(start, min(start + BLOCK, count))
                unknown = np.zeros((len(rows), negatives.shape[1]))
                writer.write(
                    {
                        "number": rows,
                        "window": real[rows],
                        "prefix_length": np.full(len(rows), prefix_length),
                        "negatives": negatives[rows][:, :, generated],
                        "real_log_p": unknown[:, 0],
                        "log_p": unknown,
                        "log_q": unknown,
                    }
                )
        mark_whole(neg, subset, count)
    return neg


def random_store(
    neg, count=64, window=16, prefix_length=8, negatives=1, symbols=200, seed=1, **more
):
    """Real and generated continuations alike: nothing to learn but the windows themselves."""
    generator = torch.Generator().manual_seed(seed)
    windows = torch.randint(4, symbols + 4, (count, 1 + negatives, window), generator=generator)
    shared = slice(-prefix_length, None) if more.get("right_to_left") else slice(0, prefix_length)
    windows[:, 1:, shared] = windows[:, :1, shared]
    return write_store(neg, windows[:, 0], windows[:, 1:], prefix_length, symbols, **more)
