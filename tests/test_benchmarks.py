"""Benchmarks and the examples' scripts are beside the package: they still understand each other."""

import random
import runpy
from argparse import Namespace

import pytest
import torch

from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow
SCRIPTS = [p for p in (CHECKOUT / "benchmarks").glob("*.py") if "__main__" in p.read_text()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_benchmarks_say_what_they_measure(run_program, script):
    done = run_program(str(script), "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout


def test_probabilities_of_n_grams_sum_to_one():
    model = runpy.run_path(str(CHECKOUT / "benchmarks" / "ngram_lm.py"))["NgramLM"]
    draw = random.Random(1)
    text = [draw.choice((4, 4, 5, 6, 7)) for _ in range(300)]
    lm = model(text, symbols=9, order=3)
    for context in ((), (4,), (5, 6), (6, 8), (8, 8), (4, 5, 6)):
        assert sum(lm.probability((*context, v)) for v in range(9)) == pytest.approx(1.0)
    regular = model([4, 5, 6] * 50, symbols=9, order=3)
    assert regular.probability((4, 5, 6)) > 0.98
    assert 0 < regular.probability((4, 5, 4)) < 0.01


def test_trainings_begin_alike_and_fused_adam_steps_like_fairseqs(tmp_path, monkeypatch):
    """With next to no eps, in which alone they differ."""
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks"))
    script = runpy.run_path(str(CHECKOUT / "benchmarks" / "training.py"))
    given = Namespace(device="cpu", runs=1, pairs=2, shape="tiny")
    bench = script["Bench"](given, tmp_path)
    energy, lm = script["ENERGIES"]["tiny"][0], script["LMS"]["tiny"]
    for make, words in ((bench.energy, energy), (bench.lm, lm)):
        first, second = (make(*words, "--dropout", 0, "--adam-eps", 1e-16) for _ in range(2))
        start = weights(first)
        assert torch.equal(start, weights(second))
        second.fuse()
        for training in (first, second):
            for batch in training.batches[:6]:
                training.trainer.train_step([batch])
        moved = weights(first) - start
        assert moved.norm() > 0.01
        assert (weights(second) - start - moved).norm() < 0.1 * moved.norm()


def weights(training):
    return torch.cat([p.detach().flatten() for p in training.trainer.model.parameters()])
