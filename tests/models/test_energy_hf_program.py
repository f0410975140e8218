"""energy_hf trained by fairseq-train itself: gone on with, adapted, in two processes, elsewhere."""

import shutil

import pytest
import torch

from fairseq_ebm.data.prepare import Vocabulary, prepare
from fairseq_ebm.models.checkpoint import load_energy
from tests.tasks.training import train, train_in_two_processes

pytest.importorskip("transformers")
from tests.lm.tiny_hugging_face import (
    TEXTS,
    byte_level,
    encoder,
    family,
    save,
    word_pieces,
)

CPU = torch.device("cpu")
FEW = ["--disable-validation", "--batch-size", 4, "--max-update"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("hf")
    level, pieces = byte_level(), word_pieces()
    save(base / "gpt2", level, family("gpt2", level))
    save(base / "llama", level, family("llama", level))
    save(base / "bert", pieces, encoder("bert", pieces))
    return base


@pytest.fixture(scope="module")
def neg(folders, run_program, tmp_path_factory):
    """Negatives by the GPT-2, in its own symbols."""
    base = tmp_path_factory.mktemp("store")
    texts = [f"{text} {i}" for text in TEXTS for i in range(20)]
    splits = {"train": texts, "valid": texts[:30], "test": texts[30:50]}
    prepare(splits, Vocabulary("hugging_face", source=folders / "gpt2"), {}, base / "data")
    path, dest = f"hf:{folders / 'gpt2'}", base / "neg"
    drawn = ["--path", path, "--dest", dest, "--window", 16, "--prefix-length", 8, "--cpu"]
    done = run_program("fairseq-ebm negatives", base / "data", *drawn, "--num-negatives", 2)
    assert done.returncode == 0, done.stderr
    return dest


def kept(folder):
    return torch.load(folder / "checkpoint_last.pt", weights_only=False)


def flags_of(folders, name, *flags):
    return ["--hf-model", folders / name, "--hf-dropout", 0.1, *flags]


@pytest.mark.parametrize(
    "name, flags", [("llama", []), ("llama", ["--hf-lora", 2]), ("bert", [])], ids=str
)
def test_resuming_repeats_what_would_have_been(run_program, folders, neg, tmp_path, name, flags):
    """With dropout; the BERT reads text, which is spelled ahead for it."""
    if "--hf-lora" in flags:
        pytest.importorskip("peft")
    flags = flags_of(folders, name, *flags)
    whole = train(run_program, neg, "energy_hf", tmp_path / "whole", *flags, *FEW, 8)
    train(run_program, neg, "energy_hf", tmp_path / "parts", *flags, *FEW, 4)
    parts = train(run_program, neg, "energy_hf", tmp_path / "parts", *flags, *FEW, 8)
    assert parts.losses == pytest.approx(whole.losses[4:], abs=1e-5)
    first, second = kept(tmp_path / "whole")["model"], kept(tmp_path / "parts")["model"]
    assert first.keys() == second.keys()
    for weight in first:
        torch.testing.assert_close(first[weight], second[weight], atol=1e-5, rtol=0, msg=weight)


def test_adapters_learn_and_nothing_else_does(run_program, folders, neg, tmp_path):
    pytest.importorskip("peft")
    flags = flags_of(folders, "llama", "--hf-lora", 2)
    train(run_program, neg, "energy_hf", tmp_path, *flags, *FEW, 6)
    weights = kept(tmp_path)["model"]
    assert all("lora_" in name or name.startswith("head.") for name in weights)
    moved = [name for name in weights if "lora_B" in name and weights[name].abs().max() > 0]
    assert len(moved) == sum("lora_B" in name for name in weights) > 0
    energy = load_energy(tmp_path / "checkpoint_last.pt", neg.parent / "data", "fp32", CPU)
    with torch.no_grad():
        assert torch.isfinite(energy.model.energy(torch.randint(4, 200, (2, 16)))).all()


def test_going_on_with_another_model_is_refused(run_program, folders, neg, tmp_path):
    here = tmp_path / "here"
    shutil.copytree(folders / "llama", here)
    arguments = ["--hf-model", here, *FEW]
    train(run_program, neg, "energy_hf", tmp_path / "e", *arguments, 2)
    (here / "config.json").write_text((here / "config.json").read_text() + "\n")
    again = train(run_program, neg, "energy_hf", tmp_path / "e", *arguments, 4, fails=True)
    assert "--hf-model: other files than those that it began with" in again.error


def test_two_processes_are_one_with_twice_the_batches(run_program, folders, neg, tmp_path):
    flags = ["--hf-model", folders / "bert", "--hf-dropout", 0, "--no-save", *FEW, 6]
    one = train(run_program, neg, "energy_hf", tmp_path, *flags, "--update-freq", 2)
    two = train_in_two_processes(run_program, neg, "energy_hf", tmp_path, *flags)
    assert two[0].losses == pytest.approx(one.losses, abs=1e-4)
