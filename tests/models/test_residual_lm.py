"""RALM in fairseq's programs: it starts as its base, trains, resumes, and contains its base."""

import json
import math
import re
import shutil

import numpy as np
import pytest
import torch
from fairseq import models
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask
from omegaconf import OmegaConf

from fairseq_ebm.data.windows import WindowOptions, Windows
from fairseq_ebm.errors import UserError
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.scoring import token_log_probs
from fairseq_ebm.negatives.store import NegativesSubset
from tests.conftest import CHECKOUT, train_lm
from tests.stores import write_dictionary

CPU = torch.device("cpu")
PLUGIN = ["--user-dir", CHECKOUT / "fairseq_ebm"]
SHAPE = ["--window", 10, "--stride", 10, "--cpu"]
RESIDUAL = {
    "decoder_layers": 1,
    "decoder_embed_dim": 16,
    "decoder_input_dim": 16,
    "decoder_output_dim": 16,
    "decoder_ffn_embed_dim": 32,
    "decoder_attention_heads": 2,
    "max_target_positions": 64,
    "tokens_per_sample": 64,
}


@pytest.fixture(scope="module")
def train(run_program, sums, tmp_path_factory):
    """A RALM whose base is deleted after training."""

    def run(base, *flags, folder=None):
        folder = folder or tmp_path_factory.mktemp("ralm")
        copy = shutil.copy(base, folder / "base.pt")
        arguments = [*PLUGIN, "--task", "language_modeling", "--arch", "residual_lm"]
        path = train_lm(run_program, folder, sums, *arguments, "--base-lm", copy, *flags)
        (folder / "base.pt").unlink()
        return path

    return run


@pytest.fixture(scope="module")
def ralm(train, sums_lm):
    return train(sums_lm)


@pytest.fixture(scope="module")
def windows(sums):
    """All sums of the test split (N, 10)."""
    test = Windows(sums, "test", WindowOptions(10, 10, (0,), None, 1))
    return torch.from_numpy(np.stack([test.tokens(i) for i in range(len(test))]).astype(np.int64))


def base_in(path):
    """The base's tensors under their names in its own checkpoint."""
    state = torch.load(path, weights_only=True)["model"]
    prefix = "decoder.frozen."
    return {name[len(prefix) :]: t for name, t in state.items() if name.startswith(prefix)}


def has_base(path, base):
    stored, original = base_in(path), torch.load(base, weights_only=True)["model"]
    return set(stored) == set(original) and all(
        stored[name].dtype == original[name].dtype and torch.equal(stored[name], original[name])
        for name in original
    )


def test_training_leaves_the_base_alone_and_improves_on_it(ralm, sums, sums_lm, windows):
    assert has_base(ralm, sums_lm)
    state = torch.load(ralm, weights_only=True)
    assert state["model"]["decoder.residual.output_projection.weight"].abs().max() > 0.01
    residual = [
        t.numel()
        for name, t in state["model"].items()
        if name.startswith("decoder.residual.") and not name.endswith("version")
    ]
    optimised = [s["exp_avg"].numel() for s in state["last_optimizer_state"]["state"].values()]
    assert sum(optimised) == sum(residual)
    scores = [
        token_log_probs(load_base_lm(path, sums, "fp32", CPU).model, windows, 0).mean()
        for path in (sums_lm, ralm)
    ]
    assert scores[1] > scores[0] + 0.1


def test_resumed_training_ends_as_if_it_had_not_stopped(train, ralm, sums_lm, tmp_path):
    train(sums_lm, "--max-update", 8, folder=tmp_path)
    resumed = train(sums_lm, folder=tmp_path)
    assert has_base(resumed, sums_lm)
    states = [torch.load(path, weights_only=True)["model"] for path in (resumed, ralm)]
    for name, value in states[1].items():
        torch.testing.assert_close(states[0][name], value, atol=1e-6, rtol=0)


def test_perplexities_of_the_programs_are_the_models(run_program, sums, ralm, windows, tmp_path):
    model = load_base_lm(ralm, sums, "fp32", CPU).model
    done = run_program(
        "fairseq-eval-lm",
        *[sums, *PLUGIN, "--task", "language_modeling", "--path", ralm, "--gen-subset", "test"],
        *["--sample-break-mode", "eos", "--tokens-per-sample", 10, "--batch-size", 64, "--cpu"],
    )
    assert done.returncode == 0, done.stderr
    (bits,) = re.findall(r"Loss \(base 2\): ([\d.]+)", done.stdout + done.stderr)
    expected = -token_log_probs(model, windows, 0).double().mean() / math.log(2)
    assert float(bits) == pytest.approx(float(expected), abs=1e-4)

    out = tmp_path / "out.json"
    flags = [*SHAPE, "--prefix-length", 0, "--results-path", out]
    done = run_program("fairseq-ebm eval-lm", sums, "--path", ralm, *flags)
    assert done.returncode == 0, done.stderr
    expected = -token_log_probs(model, windows, 0, without_padding=True).double().mean()
    assert math.log(json.loads(out.read_text())["base_ppl"]) == pytest.approx(float(expected), 1e-5)


def test_negatives_have_the_log_p_of_scoring(run_program, sums, ralm, tmp_path):
    flags = [*SHAPE, "--prefix-length", 6, "--num-negatives", 3, "--max-windows", 100]
    flags += ["--subsets", "valid", "--dest", tmp_path / "neg"]
    done = run_program("fairseq-ebm negatives", sums, "--path", ralm, *flags)
    assert done.returncode == 0, done.stderr
    model = load_base_lm(ralm, sums, "fp32", CPU).model
    subset = NegativesSubset(tmp_path / "neg", "valid")
    examples = [subset[i] for i in range(len(subset))]
    assert len(examples) == 100
    generated = torch.from_numpy(np.concatenate([e.negatives for e in examples]).astype(np.int64))
    scored = token_log_probs(model, generated, 6).sum(dim=1)
    stored = torch.from_numpy(np.concatenate([e.log_p for e in examples]))
    assert stored.std() > 0.2 and (stored - scored).abs().max() < 1e-4


def build(data, base, task="language_modeling", state=None, **options):
    config = LanguageModelingConfig(data=str(data), tokens_per_sample=64)
    config._name = task
    task = LanguageModelingTask.setup_task(config)
    task.load_state_dict(state or {})
    base = None if base is None else str(base)
    cfg = OmegaConf.create({"_name": "residual_lm", "base_lm": base, **RESIDUAL, **options})
    return models.build_model(cfg, task), task


def test_it_starts_as_its_base(sums, sums_lm, windows):
    model, task = build(sums, sums_lm)
    base = load_base_lm(sums_lm, sums, "fp32", CPU).model
    difference = token_log_probs(model.eval(), windows, 0) - token_log_probs(base, windows, 0)
    assert difference.abs().max() < 1e-6
    assert task.state.base_lm["_name"] == "transformer_lm"


@pytest.mark.parametrize(
    "arch, flags",
    [
        ("fconv_lm", ["--decoder-layers", "[(16, 3)] * 2"]),  # an older fairseq model
        ("transformer_lm_base_lm", ["--decoder-layers", 1, "--decoder-attention-heads", 2]),
    ],
)
def test_other_decoders_are_bases(run_program, sums, windows, arch, flags, tmp_path):
    flags = ["--arch", arch, "--decoder-embed-dim", 16, *flags, "--max-update", 2, "--cpu"]
    flags += ["--tokens-per-sample", 64, "--batch-size", 16, "--optimizer", "adam", "--lr", 0.02]
    flags += ["--num-workers", 0, "--disable-validation", "--save-dir", tmp_path]
    task = [*PLUGIN, "--task", "language_modeling"]
    done = run_program("fairseq-train", sums, *task, *flags)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "checkpoint_last.pt"
    base = load_base_lm(path, sums, "fp32", CPU)
    assert base.max_positions >= 64
    expected = token_log_probs(base.model, windows[:50], 0)

    model, task = build(sums, path)
    torch.save((model.state_dict(), task.state_dict()), tmp_path / "saved.pt")
    path.unlink()
    weights, state = torch.load(tmp_path / "saved.pt", weights_only=True)
    loaded, _ = build(sums, path, state=state)
    loaded.load_state_dict(weights, strict=True)
    for ours in (model, loaded):
        scores = token_log_probs(ours.eval(), windows[:50], 0)
        assert (scores - expected).abs().max() < 1e-5


def test_a_base_that_does_not_fit(sums, sums_lm, backward_lm, ralm, tmp_path):
    write_dictionary(tmp_path / "other", 8)
    torn = tmp_path / "torn.pt"
    torn.write_bytes(sums_lm.read_bytes()[:1000])
    wide = {"tokens_per_sample": 65}
    for base, data, options, message in [
        (None, sums, {}, "--base-lm: needed"),
        (tmp_path / "none.pt", sums, {}, r"--base-lm: .*none\.pt: no such file"),
        (torn, sums, {}, r"--base-lm: .*torn\.pt: cut off"),
        (sums_lm, tmp_path / "other", {}, "--base-lm: trained with .* symbol 4 is"),
        (backward_lm, sums, {}, "trained right to left, but --task language_modeling reads left"),
        (ralm, sums, {}, "residual_lm has a base of its own"),
        (sums_lm, sums, wide, "--tokens-per-sample: 65 are more than the 64 positions"),
        (sums_lm, sums, {"share_decoder_input_output_embed": True}, "--share-decoder-input-output"),
        (sums_lm, sums, {"adaptive_softmax_cutoff": "4"}, "--adaptive-softmax-cutoff: "),
    ]:
        with pytest.raises(UserError, match=message) as raised:
            build(data, base, **options)
        assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=r"left to right, but --task right_to_left.* right to left"):
        build(sums, sums_lm, task="right_to_left_language_modeling")
    build(sums, backward_lm, task="right_to_left_language_modeling")  # fits


def test_a_base_that_is_not_a_language_model(sums, sums_energy, sums_masked_lm):
    for path, name in ((sums_energy, "energy_bilstm"), (sums_masked_lm, "roberta_base")):
        with pytest.raises(UserError, match=f"--base-lm: .*: {name} is not a language model"):
            build(sums, path)


def test_the_program_says_what_is_wrong(run_program, sums, tmp_path):
    flags = ["--task", "language_modeling", "--arch", "residual_lm", "--batch-size", 4, "--cpu"]
    flags += ["--base-lm", "none.pt", "--optimizer", "adam", "--save-dir", tmp_path]
    done = run_program("fairseq-train", sums, *PLUGIN, *flags)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and last.endswith("--base-lm: none.pt: no such file")
