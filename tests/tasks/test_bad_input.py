"""What goes wrong is said in our words, through the command line."""

import json
import math

import pytest
import torch

from fairseq_ebm.negatives.store import MANIFEST_NAME
from tests.stores import random_store
from tests.tasks.training import train

QUICK = ["--max-update", 2, "--no-save", "--disable-validation"]


@pytest.fixture(scope="module")
def neg(tmp_path_factory):
    return random_store(tmp_path_factory.mktemp("store") / "neg", count=16, negatives=2)


def refused(run_program, neg, tmp_path, *flags, arch="energy_linear", **options):
    trained = train(
        run_program,
        neg,
        arch,
        tmp_path / "energy",
        *QUICK,
        *flags,
        fails=True,
        cwd=tmp_path,
        **options,
    )
    assert not (tmp_path / "energy").exists() or not any((tmp_path / "energy").iterdir())
    return trained.done.stderr


def test_another_format(run_program, tmp_path):
    neg = random_store(tmp_path / "neg", count=8)
    manifest = json.loads((neg / MANIFEST_NAME).read_text())
    (neg / MANIFEST_NAME).write_text(json.dumps({**manifest, "format_version": 99}))
    error = refused(run_program, neg, tmp_path)
    assert "manifest.json: format version 99, but this program reads version 2" in error


def test_not_a_store(run_program, sums, tmp_path):
    error = refused(run_program, sums, tmp_path)
    assert f"{sums}: not a store of negatives (no manifest.json in it)" in error


def test_a_missing_split(run_program, tmp_path):
    neg = random_store(tmp_path / "neg", count=8, subsets=("valid",))
    assert "the subset train is not complete; it has valid" in refused(run_program, neg, tmp_path)


def test_dictionaries_that_differ(run_program, neg, tmp_path):
    other = random_store(tmp_path / "other", count=8, symbols=150)
    error = refused(run_program, f"{neg}:{other}", tmp_path)
    assert f"{other}: made with {other}/dict.txt, which differs from {neg}/dict.txt" in error
    assert "symbol 154 is 'nothing' there and 'w150' here" in error


def test_resuming_with_another_dictionary_of_the_same_size(run_program, neg, tmp_path):
    train(run_program, neg, "energy_linear", tmp_path / "energy", "--max-update", 2)
    other = random_store(tmp_path / "other", count=16, negatives=2)
    words = (other / "dict.txt").read_text().replace("w7 ", "x7 ")
    (other / "dict.txt").write_text(words)
    trained = train(
        run_program, other, "energy_linear", tmp_path / "energy", "--max-update", 4, fails=True
    )
    assert trained.error.endswith(
        f"checkpoint_last.pt: the energy was trained with another dictionary than {other}/dict.txt"
    )


def test_init_from_another_shape(run_program, sums, sums_lm, tmp_path):
    neg = random_store(tmp_path / "neg", count=8, symbols=12)
    (neg / "dict.txt").write_text((sums / "dict.txt").read_text())
    flags = ["--init-from", sums_lm, "--decoder-layers", 3]
    error = refused(run_program, neg, tmp_path, *flags, arch="energy_transformer_lm")
    assert "has another shape; add --decoder-layers 1 --decoder-attention-heads 2" in error


def test_init_from_another_dictionary(run_program, neg, sums, sums_lm, tmp_path):
    flags = ["--init-from", sums_lm]
    error = refused(run_program, neg, tmp_path, *flags, arch="energy_transformer_lm")
    assert f"--init-from: trained with {sums}/dict.txt, which differs from {neg}/dict.txt" in error


def test_init_from_nothing(run_program, neg, tmp_path):
    flags = ["--init-from", tmp_path / "none.pt"]
    error = refused(run_program, neg, tmp_path, *flags, arch="energy_transformer_lm")
    assert f"--init-from: {tmp_path}/none.pt: no such file" in error


@pytest.mark.parametrize(
    "arch, flags, options, message",
    [
        ("energy_linear", ["--negatives-per-positive", 3], {}, "3, but 2 were generated"),
        ("energy_linear", ["--max-tokens", 31], {}, " 31: a real window and its 1"),
        ("energy_linear", [], {"criterion": "cross_entropy"}, "--criterion cross_entropy: not for"),
        ("lstm_lm", [], {}, "--arch lstm_lm: not an energy"),
        ("energy_transformer_lm", ["--energy-pooling", "first"], {}, "use mean, sum or last"),
        (
            "energy_roberta",
            ["--max-positions", 16],
            {},
            "windows of 16 tokens, but the energy reads",
        ),
        (
            "energy_linear",
            ["--hard-negatives"],
            {"task": "real_fake_discrimination"},
            "--hard-negatives: needs --negatives-per-positive of 2 or more",
        ),
    ],
)
def test_flags_that_do_not_go_together(run_program, neg, tmp_path, arch, flags, options, message):
    assert message in refused(run_program, neg, tmp_path, *flags, arch=arch, **options)


def test_no_store_at_all(run_program, tmp_path):
    assert "no store of negatives given" in refused(run_program, "", tmp_path)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_energies_that_are_not_finite(run_program, neg, tmp_path, bad):
    """A symbol of the third batch has such an energy: training stops there and says so."""
    folder = tmp_path / "energy"
    train(run_program, neg, "energy_linear", folder, "--max-update", 2)
    state = torch.load(folder / "checkpoint_last.pt", weights_only=True)
    state["model"]["weights.weight"][4:] = bad
    torch.save(state, folder / "checkpoint_last.pt")
    flags = ["--max-update", 4, "--disable-validation"]
    trained = train(run_program, neg, "energy_linear", folder, *flags, fails=True)
    assert "UserError: update 3: energies are not finite: windows " in trained.error


def test_training_that_diverges_says_when(run_program, tmp_path):
    neg = random_store(tmp_path / "neg", count=64)
    flags = ["--lr", 1e38, "--max-update", 50, "--disable-validation"]
    trained = train(run_program, neg, "energy_linear", tmp_path, *flags, fails=True)
    assert "UserError: update 2: energies are not finite: windows " in trained.error


def test_truncated_negatives_are_told(run_program, tmp_path):
    neg = random_store(tmp_path / "neg", count=8, sampling_topk=10)
    trained = train(run_program, neg, "energy_linear", tmp_path, *QUICK)
    assert "not from the language model's own distribution" in trained.done.stdout
