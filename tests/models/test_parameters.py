"""Recounts the tables of docs/models.md, on the device "meta", which allocates nothing."""

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

from fairseq_ebm.models import energy_roberta, presets, residual_lm
from tests.conftest import CHECKOUT
from tests.models.energies import dictionary

TEXT = (CHECKOUT / "docs/models.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)`[^|]* \| ([\d.]+) \| ([\d.]+) \| ([^|]*)\|", re.MULTILINE)
TABLE = {arch: (float(e), float(r), papers) for arch, e, r, papers in ROW.findall(TEXT)}
EMBEDDINGS = ("embed_tokens.weight", "weights.weight", "fc3.weight_v")  # fc3: the output of Conv
LANGUAGE_MODEL = {"tokens_per_sample": 160, "max_target_positions": 160}


@pytest.fixture(scope="module")
def vocabulary():
    return dictionary(50096)


def build(arch, vocabulary, **options):
    flags = Namespace(**options)
    ARCH_CONFIG_REGISTRY.get(arch, lambda args: None)(flags)
    family = ARCH_MODEL_NAME_REGISTRY[arch]
    task = SimpleNamespace(
        dictionary=vocabulary, source_dictionary=vocabulary, target_dictionary=vocabulary
    )
    if family in MODEL_DATACLASS_REGISTRY:
        flags = MODEL_DATACLASS_REGISTRY[family](**vars(flags))
    if not family.startswith("energy_"):
        vars(flags).update(LANGUAGE_MODEL, criterion="cross_entropy")
    with torch.device("meta"):
        if family == "residual_lm":  # without its base
            return residual_lm.build_residual(flags, task)
        return ARCH_MODEL_REGISTRY[arch].build_model(flags, task)


def count(arch, vocabulary, **options):
    """In millions: (embeddings, rest)."""
    model = build(arch, vocabulary, **options)
    # fairseq 0.12.2 keeps copies of an encoder layer's weights in the layer itself, for inference.
    copies = re.compile(r".*layers\.\d+\.\w+")
    numbers = {n: p.numel() for n, p in model.named_parameters() if not copies.fullmatch(n)}
    embeddings = sum(n for name, n in numbers.items() if name.endswith(EMBEDDINGS))
    return embeddings / 1e6, (sum(numbers.values()) - embeddings) / 1e6


def test_every_preset_is_in_the_table():
    energies = {arch for arch in ARCH_MODEL_REGISTRY if arch.startswith("energy_")}
    ours = (
        a for a, preset in ARCH_CONFIG_REGISTRY.items() if preset.__module__ == presets.__name__
    )
    lms = set(ours) - energies
    assert len(lms) == 9
    expected = energies | lms | {"fconv_lm_dauphin_gbw"}
    no_paper_has = {"energy_bow", "energy_cnn", "energy_ngram", "energy_ratio", "energy_hf"}
    assert set(TABLE) == expected - {"energy_roberta"} - no_paper_has, "it is energy_roberta_base"


@pytest.mark.parametrize("arch", TABLE)
def test_counts(arch, vocabulary, monkeypatch):
    """Counts are the table's, and agree with the papers' as it says: no sign for equal, ≈ or ≠."""
    monkeypatch.setattr(energy_roberta, "init_bert_params", lambda module: None)  # fails on meta
    embeddings, rest, papers = TABLE[arch]
    counted = count(arch, vocabulary)
    assert counted == (pytest.approx(embeddings, abs=0.051), pytest.approx(rest, abs=0.051))

    missing = {"energy_roberta_base": 0.6, "energy_roberta_large": 1.1}.get(arch, 0.0)
    parts = re.findall(r"(≠ )?([\d.]+) \+ ([\d.]+)", papers)
    totals = re.findall(r": ([≈≠] )?(\d+)(?! \+)\b", papers)
    assert parts or totals
    for differs, *theirs in parts:
        near = [abs(n - float(t)) < 0.55 for n, t in zip(counted, theirs)]
        near[1] = abs(counted[1] + missing - float(theirs[1])) < 0.55
        assert near == [False, False] if differs else near == [True, True]
    for sign, total in totals:
        off = abs(sum(counted) + missing - float(total))
        assert off < 0.7 or sign
        assert {"": True, "≈ ": 0.7 < off < 0.011 * float(total), "≠ ": off > 20}[sign]


@pytest.mark.parametrize(
    "arch, total",
    [
        ("transformer_lm_balm_matched", 408),
        ("transformer_lm_base_24l", 203),
        ("transformer_lm_balm_24l", 408),
    ],
)
def test_no_width_that_16_heads_divide_is_nearer(arch, total, vocabulary):
    width = build(arch, vocabulary).decoder.embed_dim
    shapes = [
        {"decoder_embed_dim": w, "decoder_ffn_embed_dim": 4 * w}
        for w in range(width - 16, width + 17, 16)
    ]
    off = [abs(sum(count(arch, vocabulary, **shape)) - total) for shape in shapes]
    assert width % 16 == 0 and min(off) == off[1]


@pytest.mark.parametrize(
    "arch, flags, sentence",
    [
        (
            "energy_bilstm_big",
            {"encoder_embed_dim": 758, "encoder_hidden_size": 2014},
            "758 and 2014, which would be",
        ),
        ("fconv_lm", {"decoder_layers": "[(1268, 4)] * 12"}, "which has"),
    ],
)
def test_counts_of_shapes_as_written(arch, flags, sentence, vocabulary):
    (stated,) = re.findall(rf"{sentence} (\d+\.\d) \+ (\d+\.\d)", " ".join(TEXT.split()))
    expected = tuple(pytest.approx(float(number), abs=0.051) for number in stated)
    assert count(arch, vocabulary, **flags) == expected
