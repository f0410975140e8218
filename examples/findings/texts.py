"""Whole texts, real and generated, as the gpt-2-output-dataset has them."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import List

import numpy as np
import torch

from fairseq_ebm.cli.main import ending
from fairseq_ebm.cli.parser import parse
from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.data.windows import running_text
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.options import REQUIRED, Quiet, file, whole
from fairseq_ebm.progress import silence
from fairseq_ebm.registration import register

AT_ONCE = 100


@dataclass(frozen=True)
class Arguments(Quiet):
    """Whole texts, real and generated, as the gpt-2-output-dataset has them.

    For each split DEST/{split}.real.jsonl, documents of the prepared DATA, and {split}.fake.jsonl,
    what the language model writes behind the end of a document until the next. Texts end at the
    latest after --most tokens, and shorter ones than --least are left out, of both kinds.
    """

    data: Path = file(REQUIRED, "prepared text", "DATA", argument=True)
    lm: Path = file(REQUIRED, "a language model", "LM.pt", argument=True)
    dest: Path = file(REQUIRED, "folder for the texts", "DEST", argument=True)
    train: int = whole(1500, "texts of each kind to train on", 1)
    judged: int = whole(300, "texts of each kind in valid and test", 1)
    least: int = whole(64, "tokens of the shortest", 1)
    most: int = whole(160, "tokens of the longest", 1)


def documents(text: np.ndarray, eos: int) -> Iterator[np.ndarray]:
    """Each without its end."""
    for part in np.split(text, np.flatnonzero(text == eos) + 1):
        yield part[part != eos]


def generated(sampler: Sampler, split: str, eos: int, most: int) -> Iterator[np.ndarray]:
    """Without end: the start is the same for all, and so are all drawn alike."""
    start, number = torch.tensor([[eos]]), 0
    while True:
        streams = [WindowStream(seed=1, subset=split, window=number, purpose="texts")]
        samples = sampler.sample(start, num_samples=AT_ONCE, length=most, streams=streams)
        for tokens in samples.tokens[0].numpy():
            ends = np.flatnonzero(tokens == eos)
            yield tokens[: ends[0]] if len(ends) else tokens
        number += 1


def some(texts: Iterator[np.ndarray], count: int, least: int, most: int) -> List[List[int]]:
    kept: List[List[int]] = []
    for tokens in texts:
        if len(tokens) >= least:
            kept.append(tokens[:most].tolist())
        if len(kept) == count:
            break
    return kept


def main(options: Arguments) -> None:
    register()
    tokenizer = load_tokenizer(options.data)
    lm = load_base_lm(options.lm, options.data, "fp32", torch.device("cpu"), "LM.pt")
    lm.require_window(options.most, "--most")
    sampler, eos = Sampler(lm.model), tokenizer.dictionary.eos()
    options.dest.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        count = options.train if split == "train" else options.judged
        limits = count, options.least, options.most
        real = some(documents(running_text(options.data, split), eos), *limits)
        fake = some(generated(sampler, split, eos, options.most), len(real), *limits[1:])
        for kind, texts in (("real", real), ("fake", fake)):
            lines = [json.dumps({"text": tokenizer.decode(tokens)}) + "\n" for tokens in texts]
            (options.dest / f"{split}.{kind}.jsonl").write_text("".join(lines), encoding="utf-8")
        if not options.quiet:
            print(f"{split}: {len(real)} texts of each kind")


if __name__ == "__main__":
    asked = parse("texts.py", Arguments, sys.argv[1:])
    with ending("texts.py", asked), silence(asked.quiet):
        main(asked)
