"""What fits together, and what is doubtful."""

import dataclasses
import re

import pytest

from fairseq_ebm.joint.checkpoints import doubts
from tests.negatives.test_store import MANIFEST


def manifest(**options):
    return dataclasses.replace(MANIFEST, options={**MANIFEST.options, **options})


@pytest.mark.parametrize(
    "precision, prefix_length, words",
    [
        ("fp32", 6, []),
        ("fp32", 9, []),
        ("bf16", 6, ["the language model is in bf16, but the energy .* in fp32"]),
        ("fp32", 5, ["a prefix of 5 tokens is shorter than any .*from 6"]),
        ("fp16", 0, ["in fp16", "of 0 tokens"]),
    ],
)
def test_doubts(precision, prefix_length, words):
    negatives = [manifest(precision="fp32", prefix_length=[8, 6]), manifest(prefix_length=[10])]
    found = doubts(negatives, precision, prefix_length)
    assert len(found) == len(words)
    for sentence, part in zip(found, words):
        assert re.search(part, sentence)


def test_text_from_elsewhere_raises_none():
    assert doubts([manifest()], "bf16", 0) == doubts([], "bf16", 0) == []
