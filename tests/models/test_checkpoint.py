import dataclasses
import shutil

import pytest
import torch

from fairseq_ebm.errors import UserError
from fairseq_ebm.models.checkpoint import is_energy, load_energy, trained_window
from tests.conftest import CHECKOUT
from tests.models.energies import FLAGS
from tests.negatives.test_store import MANIFEST
from tests.stores import random_store, write_dictionary

CPU = torch.device("cpu")
LM = "0" * 64  # what tests.stores says the negatives are from


@pytest.fixture(scope="module")
def trained(run_program, tmp_path_factory):
    """A store, and the checkpoint of an energy that was trained on it."""
    folder = tmp_path_factory.mktemp("checkpoints")
    neg = random_store(folder / "neg", count=8, negatives=2)
    done = run_program(
        "fairseq-train",
        *[neg, "--user-dir", CHECKOUT / "fairseq_ebm", "--task", "residual_ebm_lm"],
        *["--arch", "energy_bilstm", *FLAGS["energy_bilstm"], "--criterion", "conditional_nce"],
        *["--batch-size", 8, "--optimizer", "adam", "--lr", 0.01, "--max-update", 2, "--cpu"],
        *["--save-dir", folder, "--num-workers", 0],
    )
    assert done.returncode == 0, done.stderr
    return neg, folder / "checkpoint_last.pt"


def test_loads_without_running_code(trained):
    neg, path = trained
    energy = load_energy(path, neg, "fp32", CPU)
    assert energy.architecture == "energy_bilstm" and not energy.model.training
    state = torch.load(path, weights_only=True)["model"]
    assert all(torch.equal(state[n], p) for n, p in energy.model.state_dict().items())
    (manifest,) = energy.negatives
    assert manifest.options["temperature"] == 1.0 and manifest.subsets == {"train": 8, "valid": 8}
    energy.require_density(LM)


def test_precision(trained):
    neg, path = trained
    energy = load_energy(path, neg, "bf16", CPU)
    assert next(energy.model.parameters()).dtype == torch.bfloat16
    with pytest.raises(UserError, match="--fp16: needs a GPU"):
        load_energy(path, neg, "fp16", CPU)


@pytest.mark.parametrize(
    "options, sampler",
    [
        ({"sampling_topk": 10}, "top-k 10"),
        ({"sampling_topp": 0.9, "temperature": 0.8}, "top-p 0.9, temperature 0.8"),
    ],
)
def test_truncated_negatives_give_no_perplexity(trained, tmp_path, options, sampler):
    neg, path = trained
    state = torch.load(path, weights_only=True)
    state["task_state"]["negatives"][0]["options"].update(options)
    torch.save(state, tmp_path / "truncated.pt")
    energy = load_energy(tmp_path / "truncated.pt", neg, "fp32", CPU)
    with pytest.raises(UserError, match=rf"own distribution \({sampler}\).*no perplexity"):
        energy.require_density(LM)


@pytest.mark.parametrize(
    "part, change, reason",
    [
        ("task", {"hard_negatives": True}, r"\(--hard-negatives\)"),
        ("criterion", {"_name": "energy_ranking"}, "with --criterion energy_ranking"),
    ],
)
def test_what_only_tells_apart_gives_no_perplexity(trained, tmp_path, part, change, reason):
    neg, path = trained
    state = torch.load(path, weights_only=True)
    state["cfg"][part].update(change)
    torch.save(state, tmp_path / "ranked.pt")
    energy = load_energy(tmp_path / "ranked.pt", neg, "fp32", CPU)
    with pytest.raises(UserError, match=f"{reason}: its energies tell text apart, but give no"):
        energy.require_density(LM)


def test_no_model_but_ours_is_built(trained, tmp_path):
    """fairseq's wav2vec evaluates this string when it is built."""
    neg, path = trained
    state = torch.load(path, weights_only=True)
    trap = tmp_path / "ran"
    state["cfg"]["model"] = {
        "_name": "wav2vec",
        "conv_feature_layers": f"open({str(trap)!r}, 'w').write('')",
    }
    torch.save(state, tmp_path / "trap.pt")
    with pytest.raises(UserError, match="not an energy"):
        load_energy(tmp_path / "trap.pt", neg, "fp32", CPU)
    assert not trap.exists()


def test_another_language_model(trained):
    neg, path = trained
    energy = load_energy(path, neg, "fp32", CPU)
    with pytest.raises(UserError, match="another language model"):
        energy.require_density("1" * 64)


def test_another_dictionary(trained, tmp_path):
    _, path = trained
    write_dictionary(tmp_path, 199)
    with pytest.raises(UserError, match=r"trained with another dictionary than .*dict\.txt"):
        load_energy(path, tmp_path, "fp32", CPU)


def test_what_is_no_energy(trained, tmp_path, sums_lm):
    neg, path = trained
    with pytest.raises(UserError, match="no such file"):
        load_energy(tmp_path / "none.pt", neg, "fp32", CPU)
    torn = tmp_path / "torn.pt"
    torn.write_bytes(path.read_bytes()[:1000])
    foreign = tmp_path / "foreign.pt"
    torch.save({"model": {}}, foreign)
    lm = shutil.copy(sums_lm, tmp_path / "lm.pt")
    for other in (foreign, lm):
        with pytest.raises(UserError, match="not an energy"):
            load_energy(other, neg, "fp32", CPU)
    for load in (lambda: load_energy(torn, neg, "fp32", CPU), lambda: is_energy(torn)):
        with pytest.raises(UserError, match=r"torn\.pt: cut off"):
            load()


def test_the_window_is_the_longest_that_training_saw():
    seen = [dataclasses.replace(MANIFEST, options={"window": n}) for n in (10, 64)]
    silent = dataclasses.replace(MANIFEST, options={})
    assert trained_window([*seen, silent], 512) == 64
    assert trained_window([silent], 512) == trained_window([], 512) == 160
    assert trained_window([], 64) == 64
