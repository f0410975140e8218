"""fairseq's own program continues text by a Hugging Face model, and prints its probabilities."""

import math
import re
from itertools import compress
from pathlib import Path

import pytest
import torch

from fairseq_ebm.data.prepare import Vocabulary, prepare
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.scoring import token_log_probs

pytest.importorskip("transformers")
from tests.conftest import CHECKOUT
from tests.lm.tiny_hugging_face import byte_level, family, save


def test_fairseq_generate(run_program, tmp_path):
    tokenizer, base = byte_level(), tmp_path / "a folder"
    folder = save(base / "hf", tokenizer, family("llama", tokenizer, spare=2))
    texts = ["The cat sat on the mat. " * 3] * 4
    prepare({"test": texts}, Vocabulary("hugging_face", source=folder), {}, base / "data")
    done = run_program(
        *("fairseq-generate", base / "data", "--user-dir", CHECKOUT / "fairseq_ebm"),
        *("--task", "residual_ebm_lm", "--path", f"hf:{folder}", "--cpu", "--sampling"),
        *("--beam", 1, "--nbest", 1, "--window", 10, "--prefix-size", 6, "--max-windows", 3),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lm = load_base_lm(Path(f"hf:{folder}"), base / "data", "fp32", torch.device("cpu"))
    symbols = {lm.dictionary[i]: i for i in range(len(lm.dictionary))}
    hypotheses = re.findall(r"^H-\d+\t(\S+)\t(.*)$", done.stdout, re.M)
    scores = re.findall(r"^P-\d+\t(.*)$", done.stdout, re.M)
    assert len(hypotheses) == len(scores) == 3
    whole = [len(written.split()) == 10 for _, written in hypotheses]  # </s> is not printed
    assert any(whole)
    for (_, written), found in compress(zip(hypotheses, scores), whole):
        text = torch.tensor([[symbols[word] for word in written.split()]])
        expected = token_log_probs(lm.model, text, 6, without_padding=True)[0] / math.log(2)
        assert torch.allclose(torch.tensor([*map(float, found.split())][-4:]), expected, atol=2e-4)
