import pytest
import torch

from fairseq_ebm.models.counts import LEVELS
from fairseq_ebm.tasks.real_fake_discrimination import keep_hardest
from tests.models.energies import build, windows
from tests.stores import random_store
from tests.tasks.training import train

TASK = {"task": "real_fake_discrimination"}


def test_the_hardest_is_the_lowest_energy():
    model, batch = build("energy_transformer_lm").train(), windows(rows=6, each=4)
    sample = {"id": torch.arange(6), "net_input": {"windows": batch, "shared": 5}}
    kept = keep_hardest(model, sample)["net_input"]
    energies = model.eval()(batch[:, 1:])
    assert len(set(energies.argmin(dim=1).tolist())) > 1
    for row in range(6):
        expected = batch[row, 1 + energies[row].argmin()]
        assert torch.equal(kept["windows"][row], torch.stack([batch[row, 0], expected]))
    assert kept["shared"] == 5 and sample["net_input"]["windows"] is batch


def test_the_hardest_by_counts_that_leave_the_real_window_out():
    """The first negatives are the real windows themselves: if these were counted, they would be
    the hardest."""
    model = build("energy_ngram", counts=2).train()
    with torch.no_grad():
        model.ngrams.numbers.weight.zero_()
        model.counts.numbers.weight.zero_()
        model.counts.numbers.weight.view(2, LEVELS, LEVELS)[:, :, 1:] = -1.0  # counted looks real
    generator = torch.Generator().manual_seed(1)
    real = torch.randint(4, 30, (6, 12), generator=generator)
    other = torch.randint(30, 60, (6, 12), generator=generator)
    for window in (*real, other[:, :3].flatten(), other[:, 3:].flatten()):
        model.counts.count(window.numpy())
    batch = torch.stack([real, real, other], dim=1)
    sample = {"id": torch.arange(6), "net_input": {"windows": batch, "shared": 0}}
    kept = keep_hardest(model, sample)["net_input"]["windows"]
    assert torch.equal(kept[:, 1], other)
    counted = model.eval()(batch)
    assert (counted[:, 1] < counted[:, 2]).all()


@pytest.fixture(scope="module")
def neg(tmp_path_factory):
    return random_store(tmp_path_factory.mktemp("store") / "neg", count=32, negatives=4)


@pytest.mark.parametrize("criterion", ["conditional_nce", "ranking_nce", "energy_ranking"])
def test_trains_on_the_hardest(run_program, neg, tmp_path, criterion):
    """Learns 32 windows by heart against the hardest of 4, and is validated against all 4."""
    flags = ["--negatives-per-positive", 4, "--hard-negatives", "--max-update", 60, "--lr", 0.1]
    flags += ["--validate-interval", 15, "--no-save"]
    options = {"criterion": criterion, **TASK}
    trained = train(run_program, neg, "energy_linear", tmp_path, *flags, **options)
    assert trained.last("valid_p_at_1") == 1.0
    assert "lowest energy in 100.0% (chance 20.0%)" in trained.done.stdout


def test_a_right_to_left_store(run_program, tmp_path):
    neg = random_store(tmp_path / "neg", count=16, negatives=2, right_to_left=True)
    flags = [
        "--max-update",
        40,
        "--lr",
        0.02,
        "--dropout",
        0,
        "--no-save",
        "--validate-interval",
        20,
    ]
    trained = train(run_program, neg, "energy_transformer_lm", tmp_path, *flags, **TASK)
    assert trained.last("valid_accuracy") > 0.9
