"""The table of docs/models.md, counted again."""

import re
from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch
from fairseq.models import (
    ARCH_CONFIG_REGISTRY,
    ARCH_MODEL_NAME_REGISTRY,
    ARCH_MODEL_REGISTRY,
    MODEL_DATACLASS_REGISTRY,
)

from fairseq_ebm.models import energy_roberta
from tests.conftest import CHECKOUT
from tests.models.energies import dictionary

TEXT = (CHECKOUT / "docs/models.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([^|]*)\|", re.MULTILINE)
TABLE = {arch: (float(e), float(r), papers) for arch, e, r, papers in ROW.findall(TEXT)}


@pytest.fixture(scope="module")
def vocabulary():
    return dictionary(50096)


def count(arch, vocabulary):
    flags = Namespace()
    ARCH_CONFIG_REGISTRY.get(arch, lambda args: None)(flags)
    config = MODEL_DATACLASS_REGISTRY[ARCH_MODEL_NAME_REGISTRY[arch]](**vars(flags))
    with torch.device("meta"):
        model = ARCH_MODEL_REGISTRY[arch].build_model(
            config, SimpleNamespace(dictionary=vocabulary)
        )
    # fairseq 0.12.2 keeps copies of an encoder layer's weights in the layer itself, for inference.
    copies = re.compile(r".*layers\.\d+\.\w+")
    numbers = {n: p.numel() for n, p in model.named_parameters() if not copies.fullmatch(n)}
    names = ("embed_tokens.weight", "weights.weight")
    embeddings = sum(n for name, n in numbers.items() if name.endswith(names))
    return embeddings / 1e6, (sum(numbers.values()) - embeddings) / 1e6


def test_every_energy_is_in_the_table():
    presets = {arch for arch in ARCH_MODEL_REGISTRY if arch.startswith("energy_")}
    assert set(TABLE) == presets - {"energy_roberta"}, "energy_roberta is energy_roberta_base"


@pytest.mark.parametrize("arch", TABLE)
def test_counts(arch, vocabulary, monkeypatch):
    monkeypatch.setattr(energy_roberta, "init_bert_params", lambda module: None)  # not for meta
    embeddings, rest, papers = TABLE[arch]
    counted = count(arch, vocabulary)
    assert counted == (pytest.approx(embeddings, abs=0.051), pytest.approx(rest, abs=0.051))

    missing = {"energy_roberta_base": 0.6, "energy_roberta_large": 1.1}.get(arch, 0.0)
    parts = re.findall(r"([\d.]+) \+ ([\d.]+)", papers)
    totals = re.findall(r": (\d+)(?! \+)\b", papers)
    assert parts or totals
    for theirs in parts:
        assert counted[0] == pytest.approx(float(theirs[0]), abs=0.55)
        assert counted[1] + missing == pytest.approx(float(theirs[1]), abs=0.55)
    for total in totals:
        assert sum(counted) + missing == pytest.approx(float(total), abs=0.7)
