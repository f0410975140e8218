"""``fairseq-ebm selection-test``: where ranks agree with themselves, and where they cannot."""

import json

import pytest
import torch

from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.directional import Landscape
from fairseq_ebm.selection.blocks import load_blocks
from tests.selection.mixture import CUT, GENERIC
from tests.selection.test_scores import HERE


@pytest.fixture(scope="module")
def tested(run_program, mixture, language_models, tmp_path_factory):
    out = tmp_path_factory.mktemp("test") / "test.json"
    flags = ["--specific", mixture[1], "--path", *language_models, *CUT, "--cpu"]
    flags += ["--examples", 400, "--results-path", out]
    done = run_program("fairseq-ebm selection-test", mixture[0], *flags)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text()), done.stdout


def test_halves_of_one_kind_of_text_agree(tested):
    record, told = tested
    assert record["examples"] == 400 and record["specific_examples"] == 60
    first = record["halves"][0]
    low, high = first["correlation_ci95"]
    assert 0.5 < low < first["correlation"] < high < 1.0
    assert first["best_shared"] > 0.5 and first["best_by_chance"] == 0.1
    assert len(record["checkpoints"]) == 1
    assert record["sources"]["right"]["share"] == 0.1
    assert "agree on what helps" in told and "right" in told


def test_what_is_ranked_is_the_gain_of_a_small_step(mixture, language_models):
    """By steps themselves, on single examples."""
    lm = load_base_lm(language_models[0], mixture[0], "fp32", torch.device("cpu"))
    landscape = Landscape(lm.model, lm.dictionary.pad())
    generic, specific = (load_blocks(data, "train", HERE) for data in mixture)
    whole = specific.collater([specific[row] for row in range(60)])
    rows = [3, GENERIC + 3, GENERIC + 9]
    batch = generic.collater([generic[row] for row in rows])
    worth = landscape.along(batch, landscape.gradient(whole)[1])

    def loss(at):
        losses = landscape.losses(whole, at).double()
        lengths = whole["target"].ne(1).sum(dim=1)
        return float((losses * lengths).sum() / lengths.sum())

    for row, q in zip(range(3), worth):
        alone = torch.zeros(3)
        alone[row] = 1.0
        step = landscape.gradient(batch, alone)[1]
        rate = 1e-3
        ahead, behind = (landscape.theta + sign * rate * step for sign in (-1, 1))
        fell = (loss(behind) - loss(ahead)) / (2 * rate)
        assert fell == pytest.approx(float(q), rel=0.05, abs=2e-3)


def test_too_little_specific_text(run_program, mixture, language_models):
    flags = ["--specific", mixture[1], "--path", language_models[0], *CUT, "--cpu"]
    done = run_program("fairseq-ebm selection-test", mixture[0], *flags, "--specific-examples", 3)
    assert done.returncode == 2 and "'3' is not a whole number from 4" in done.stderr


def test_another_vocabulary(run_program, mixture, sums, language_models):
    flags = ["--specific", sums, "--path", language_models[0], *CUT, "--cpu"]
    done = run_program("fairseq-ebm selection-test", mixture[0], *flags)
    assert done.returncode == 2 and "--specific: prepared with" in done.stderr
