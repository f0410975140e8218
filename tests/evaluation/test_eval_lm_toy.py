"""fairseq-ebm eval-lm on random models of a vocabulary so small that every continuation of every
window can be enumerated: 4 symbols besides padding, 4 tokens, 256 continuations."""

import json
import math
import random

import pytest
import torch

from fairseq_ebm.data.windows import WindowOptions, Windows
from fairseq_ebm.joint.model import Joint
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.models.checkpoint import load_energy
from tests.conftest import train_lm
from tests.evaluation.worlds import log_z
from tests.tasks.training import train

PREFIX, WINDOW, COUNT = 2, 6, 32
SIZES = (10, 100, 1000, 10_000)
SHAPE = ["--window", WINDOW, "--stride", WINDOW, "--prefix-length", PREFIX, "--cpu"]
LM_SHAPE = ["--decoder-layers", 2, "--lr", 1e-9, "--max-update", 1]


def randomise(checkpoint, seed, scale):
    """What was not trained becomes random, and far from uniform."""
    state = torch.load(checkpoint, weights_only=False)
    torch.manual_seed(seed)
    for name, tensor in state["model"].items():
        if tensor.is_floating_point() and tensor.dim() > 0:
            is_norm = tensor.dim() == 1 and name.endswith("weight")
            tensor.normal_(std=scale).add_(float(is_norm))
    torch.save(state, checkpoint)


def spread(checkpoint, data, deviation):
    """Random texts get energies of so much standard deviation, whatever the version of fairseq."""
    energy = load_energy(checkpoint, data, "fp32", torch.device("cpu")).model
    now = float(energy(torch.randint(2, 5, (1, 256, WINDOW)), 0).std())
    state = torch.load(checkpoint, weights_only=False)
    state["model"]["head.projection.weight"].mul_(deviation / now)
    torch.save(state, checkpoint)


@pytest.fixture(scope="module")
def toy(run_program, tmp_path_factory):
    """(text, language model, energy) on disk."""
    folder = tmp_path_factory.mktemp("toy world")
    words = random.Random(1)
    lines = [" ".join(words.choice("aaax") for _ in range(words.randint(1, 9))) for _ in range(400)]
    (folder / "text").write_text("\n".join(lines) + "\n")  # x becomes <unk>
    (folder / "dict.txt").write_text("a 1\n")
    data = folder / "data"
    flags = ["--only-source", "--srcdict", folder / "dict.txt", "--destdir", data]
    splits = [
        w for split in ("train", "valid", "test") for w in (f"--{split}pref", folder / "text")
    ]
    done = run_program("fairseq-preprocess", *flags, *splits)
    assert done.returncode == 0, done.stderr

    task = ["--task", "language_modeling", *LM_SHAPE]
    lm = train_lm(run_program, folder / "lm", data, *task)
    randomise(lm, seed=2, scale=0.25)
    neg = folder / "neg"
    flags = ["--dest", neg, "--subsets", "train,valid", "--num-negatives", 1]
    flags += ["--max-windows", 8]
    done = run_program("fairseq-ebm negatives", data, "--path", lm, *SHAPE, *flags)
    assert done.returncode == 0, done.stderr
    flags = ["--max-update", 1, "--disable-validation"]
    train(run_program, neg, "energy_roberta", folder / "energy", *flags)
    energy = folder / "energy" / "checkpoint_last.pt"
    randomise(energy, seed=3, scale=0.5)
    spread(energy, data, deviation=1.2)
    return data, lm, energy


@pytest.fixture(scope="module")
def evaluate(run_program, toy, tmp_path_factory):
    data, lm, energy = toy
    out = tmp_path_factory.mktemp("toy report") / "out.json"

    def run(*flags):
        flags = ["--path", f"{lm}:{energy}", *SHAPE, "--max-windows", COUNT, *flags]
        done = run_program("fairseq-ebm eval-lm", data, *flags, "--results-path", out)
        assert done.returncode == 0, done.stderr
        return json.loads(out.read_text())

    return run


@pytest.fixture(scope="module")
def truth(toy):
    """-log P (W, L) of every position of every window under the joint model, by enumeration."""
    data, lm_path, energy_path = toy
    device = torch.device("cpu")
    lm = load_base_lm(lm_path, data, "fp32", device)
    energy = load_energy(energy_path, data, "fp32", device).model
    world = Joint(lm.model, Sampler(lm.model), energy)
    options = WindowOptions(WINDOW, WINDOW, (PREFIX,), max_windows=COUNT)
    windows = Windows(str(data), "test", options)
    rows = []
    for i in range(len(windows)):
        text = torch.tensor(windows.tokens(i), dtype=torch.int64)
        log_lm = world.token_log_probs(text.unsqueeze(0), PREFIX)[0]  # (L,)
        log_zs = [log_z(world, text, t) for t in range(PREFIX, WINDOW)]
        log_zs.append(-float(world.energies(text.view(1, 1, -1), 0)))
        rows.append(-log_lm - torch.tensor(log_zs).diff())
    return torch.stack(rows)


def test_the_bounds_close_in_on_the_enumerated_perplexity(evaluate, truth):
    report = evaluate("--num-samples", SIZES[-1], "--sample-curve", ",".join(map(str, SIZES)))
    ppl = math.exp(float(truth.mean()))
    assert abs(math.log(report["base_ppl"] / ppl)) > 0.1  # the energy matters
    curve = {row["num_samples"]: row for row in report["curve"]}
    assert tuple(curve) == SIZES and report["num_windows"] == len(truth) == COUNT
    gaps = [curve[n]["upper"] - curve[n]["lower"] for n in SIZES]
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2] > 27 * gaps[3]
    for n, error in zip(SIZES, (0.1, 0.03, 0.01, 0.003)):
        assert curve[n]["joint"] == pytest.approx(ppl, rel=error)
        low, high = curve[n]["sampling_ci95"]
        assert low < ppl < high  # with this seed; how often: tests/evaluation/test_uncertainty.py
    assert [curve[SIZES[-1]]["sampling_ci95"]] == [report["joint_ppl_sampling_ci95"]]


def test_samples_go_where_they_are_needed(evaluate, truth):
    report = evaluate("--sampling-error", "0.2%")
    ppl = math.exp(float(truth.mean()))
    assert report["error"]["samples"] <= 0.002
    assert abs(math.log(report["joint_ppl"] / ppl)) < 3 * report["error"]["samples"]
    assert report["samples"]["min"] <= report["num_samples"] <= report["samples"]["max"]


def test_every_position_is_the_enumerated_one(evaluate, truth):
    report = evaluate("--num-samples", 2000, "--per-position", "--exact-last-position")
    for t, row in enumerate(report["per_position"]):
        ppl = math.exp(float(truth[:, t].mean()))
        assert row["position"] == PREFIX + t + 1
        assert row["lower"] == pytest.approx(ppl, rel=0.02)
        assert row["upper"] == pytest.approx(ppl, rel=0.02)
        low, high = row["sampling_ci95"]
        assert low <= ppl * (1 + 1e-6) and ppl * (1 - 1e-6) <= high
    assert report["last_position"]["exact"] == pytest.approx(ppl, rel=1e-5)
