"""``fairseq-train --task residual_ebm_lm`` in processes of its own."""

import json
import shutil

import pytest
import torch

from fairseq_ebm.negatives.store import NegativesSubset
from tests.conftest import CHECKOUT
from tests.models.energies import SMALL
from tests.stores import random_store
from tests.tasks.training import train, train_in_two_processes

NO_FILES = ["--no-save", "--disable-validation"]


@pytest.fixture(scope="module")
def neg(tmp_path_factory):
    """64 windows with 4 negatives each, two prefix lengths in a union."""
    folder = tmp_path_factory.mktemp("stores")
    one = random_store(folder / "one", count=40, negatives=4)
    two = random_store(folder / "two", count=24, negatives=4, prefix_length=6, seed=2)
    return f"{one}:{two}"


@pytest.mark.parametrize("arch", SMALL)
def test_overfits(run_program, arch, tmp_path):
    """64 pairs of random windows: nothing to learn but by heart."""
    neg = random_store(tmp_path / "neg")
    updates = 240 if arch == "energy_bilstm" else 120
    flags = ["--batch-size", 64, "--max-update", updates, "--lr", 0.01]
    flags += ["--validate-interval", updates]
    has_dropout = arch in ("energy_transformer_lm", "energy_roberta", "energy_bilstm")
    flags += ["--no-save", *(["--dropout", 0] if has_dropout else [])]
    flags += ["--lr", 0.1] if arch == "energy_linear" else []
    trained = train(run_program, neg, arch, tmp_path, *flags)
    assert trained.last("valid_accuracy") == 1.0
    assert trained.last("valid_p_at_1") == 1.0
    assert "loss 0.0" in trained.done.stdout.rpartition("validation: ")[2]


def parameters(folder, name="checkpoint_last.pt"):
    return torch.load(folder / name, weights_only=True)["model"]


def test_resuming_repeats_what_would_have_been(run_program, neg, tmp_path):
    """In the middle of the second epoch, dropout on, one negative of four drawn each time."""
    flags = ["--dropout", 0.1, "--disable-validation", "--max-update"]
    whole = train(run_program, neg, "energy_transformer_lm", tmp_path / "whole", *flags, 20)
    train(run_program, neg, "energy_transformer_lm", tmp_path / "parts", *flags, 10)
    parts = train(run_program, neg, "energy_transformer_lm", tmp_path / "parts", *flags, 20)
    assert len(parts.losses) < len(whole.losses)
    for name, value in parameters(tmp_path / "whole").items():
        if name.endswith("_float_tensor"):
            continue  # fairseq's, of no value
        torch.testing.assert_close(
            parameters(tmp_path / "parts")[name], value, atol=1e-6, rtol=0, msg=name
        )


def test_counts_are_of_the_training_text_and_survive_resuming(run_program, tmp_path):
    one = random_store(tmp_path / "one", count=40, negatives=4)
    flags = ["--counts", 2, "--count-bits", 16, "--disable-validation", "--max-update"]

    def trained(folder, updates, neg=one, **how):
        return train(run_program, neg, "energy_ngram", tmp_path / folder, *flags, updates, **how)

    trained("whole", 12)
    trained("parts", 6)
    trained("parts", 12)
    whole, resumed = parameters(tmp_path / "whole"), parameters(tmp_path / "parts")
    assert torch.equal(whole["counts.counts"], resumed["counts.counts"])
    torch.testing.assert_close(whole["counts.numbers.weight"], resumed["counts.numbers.weight"])
    windows = NegativesSubset(one, "train")
    pairs = {tuple(w[i : i + 2]) for w in windows for w in [w.real.tolist()] for i in range(15)}
    symbols = {symbol for each in windows for symbol in each.real.tolist()}
    held = int((whole["counts.counts"] > 0).sum())
    assert 0.98 * (len(pairs) + len(symbols)) < held <= len(pairs) + len(symbols)
    random_store(one, count=40, negatives=4, subsets=("test",))
    trained("parts", 14)  # the same store, with more in it
    two = random_store(tmp_path / "two", count=40, negatives=4, seed=2, stride=16)
    refused = trained("parts", 18, neg=two, fails=True)
    assert "what it has counted (--counts) is the text of other stores" in refused.done.stderr
    flags[:-1] += ["--valid-subset", "train"]
    assert "--valid-subset train, with --counts: " in trained("warned", 1).done.stdout


def test_init_from_is_read_once(run_program, sums, sums_lm, tmp_path):
    """A run can be resumed where the language model is no longer."""
    neg = random_store(tmp_path / "neg", count=16, symbols=12)
    (neg / "dict.txt").write_text((sums / "dict.txt").read_text())
    lm = shutil.copy(sums_lm, tmp_path / "lm.pt")
    flags = ["--decoder-layers", 1, "--decoder-attention-heads", 2, "--init-from", lm]
    flags += ["--disable-validation", "--max-update"]
    first = train(run_program, neg, "energy_transformer_lm", tmp_path / "energy", *flags, 2)
    assert f"initialised from {lm}" in first.done.stdout
    lm.unlink()
    second = train(run_program, neg, "energy_transformer_lm", tmp_path / "energy", *flags, 4)
    assert "--init-from is not read again" in second.done.stdout


def test_two_processes_are_one_with_twice_the_batches(run_program, neg, tmp_path):
    flags = [*NO_FILES, "--dropout", 0, "--max-update", 20]
    arch = "energy_transformer_lm"
    one = train(run_program, neg, arch, tmp_path, *flags, "--update-freq", 2, cwd=tmp_path)
    two = train_in_two_processes(run_program, neg, arch, tmp_path, *flags)
    assert len(one.losses) >= 20
    assert two[0].losses == pytest.approx(one.losses, abs=1e-4)


def test_metrics_choose_the_checkpoint_and_the_end(run_program, neg, tmp_path):
    flags = ["--best-checkpoint-metric", "accuracy", "--maximize-best-checkpoint-metric"]
    flags += ["--patience", 3, "--max-epoch", 200, "--lr", 0.03, "--negatives-per-positive", 2]
    trained = train(run_program, neg, "energy_bilstm", tmp_path, *flags)
    assert "early stop since valid performance hasn't improved" in trained.done.stdout
    best = torch.load(tmp_path / "checkpoint_best.pt", weights_only=True)
    validated = best["extra_state"]["best"]
    assert validated > 0.6

    done = run_program(
        "fairseq-validate",
        *[neg, "--user-dir", "fairseq_ebm", "--task", "residual_ebm_lm", "--cpu"],
        *["--path", tmp_path / "checkpoint_best.pt", "--batch-size", 16, "--log-format", "json"],
        cwd=CHECKOUT,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "valid_accuracy" in line]
    shown = json.loads(line[line.index("{") :])
    assert float(shown["valid_accuracy"]) == pytest.approx(validated, abs=1e-4)


def test_checkpoints_know_all_that_they_were_trained_against(run_program, tmp_path):
    """A resumed run adds its stores to those before it."""
    first, second = (random_store(tmp_path / str(n), count=n) for n in (16, 24))
    for neg, updates in ((first, 2), (second, 4)):
        flags = ["--disable-validation", "--max-update", updates]
        train(run_program, neg, "energy_linear", tmp_path, *flags)
    state = torch.load(tmp_path / "checkpoint_last.pt", weights_only=True)
    manifests = state["task_state"]["negatives"]
    assert manifests == [json.loads((neg / "manifest.json").read_text()) for neg in (second, first)]


@pytest.mark.parametrize("suffix", ["", "_mine"])
def test_a_run_continued_once_knows_its_first_negatives(run_program, tmp_path, suffix):
    """Or an energy that first learned from truncated negatives would pass for a density."""
    truncated = random_store(tmp_path / "one", count=16, sampling_topk=10)
    other = random_store(tmp_path / "two", count=24)
    flags = ["--disable-validation", "--checkpoint-suffix", suffix, "--max-update"]
    last = f"checkpoint_last{suffix}.pt"
    train(run_program, truncated, "energy_linear", tmp_path / "a", *flags, 2)
    before = ["--continue-once", tmp_path / "a" / last]
    train(run_program, other, "energy_linear", tmp_path / "b", *flags, 4, *before)
    train(run_program, other, "energy_linear", tmp_path / "b", *flags, 6)  # from b's own last one
    state = torch.load(tmp_path / "b" / last, weights_only=True)
    sampled = [
        manifest["options"].get("sampling_topk") for manifest in state["task_state"]["negatives"]
    ]
    assert sampled == [None, 10]
