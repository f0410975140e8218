"""The energy that begins where another language model stands, trained by fairseq itself."""

import pytest
import torch

from fairseq_ebm.data.windows import WindowOptions, Windows
from fairseq_ebm.errors import UserError
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.scoring import token_log_probs
from fairseq_ebm.models.checkpoint import load_energy
from tests.conftest import CHECKOUT, train_lm
from tests.elsewhere import ELSEWHERE, elsewhere

CPU = torch.device("cpu")
PLUGIN = ["--user-dir", CHECKOUT / "fairseq_ebm"]
PREFIX = 6


@pytest.fixture(scope="module")
def neg(run_program, sums, sums_lm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ratio") / "neg"
    flags = ["--window", 10, "--stride", 10, "--prefix-length", PREFIX, "--num-negatives", 4]
    flags += ["--max-windows", 256, "--cpu", "--dest", folder]
    done = run_program("fairseq-ebm negatives", sums, "--path", sums_lm, *flags)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def better(run_program, sums, sums_lm, tmp_path_factory):
    """A residual language model: the start that takes the most to put together again."""
    flags = [*PLUGIN, "--task", "language_modeling", "--arch", "residual_lm", "--base-lm", sums_lm]
    return train_lm(run_program, tmp_path_factory.mktemp("better"), sums, *flags)


@pytest.fixture(scope="module")
def train(run_program, neg, better, sums_lm, tmp_path_factory):
    def run(*flags, folder=None, fails=False, store=neg):
        folder = folder or tmp_path_factory.mktemp("trained")
        done = run_program(
            "fairseq-train",
            *[store, *PLUGIN, "--task", "residual_ebm_lm", "--criterion", "conditional_nce"],
            *["--arch", "energy_ratio", "--base-lm", sums_lm, "--start-lm", better],
            *["--optimizer", "adam", "--batch-size", 32, "--seed", 1, "--cpu", "--num-workers", 0],
            *["--save-dir", folder, *flags],
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else folder / "checkpoint_last.pt"

    return run


@pytest.fixture(scope="module")
def windows(neg, sums):
    test = Windows(sums, "test", WindowOptions(10, 10, (PREFIX,), 40, 1))
    real = torch.stack([torch.from_numpy(test.tokens(i).astype("int64")) for i in range(40)])
    rows = real.unsqueeze(1).repeat(1, 3, 1)
    drawn = torch.randint(4, 15, (40, 2, 4), generator=torch.Generator().manual_seed(1))
    rows[:, 1:, PREFIX:] = drawn
    return rows


BOTH = ["--encoder-layers", 1, "--encoder-embed-dim", 16, "--encoder-ffn-embed-dim", 32]
BOTH += ["--encoder-attention-heads", 2, "--dropout", 0, "--attention-dropout", 0]

LIKE_THE_LM = ["--activation-fn", "relu", "--sinusoidal-positions", "--no-layernorm-embedding"]
LIKE_THE_LM += ["--scale-embedding"]


@pytest.mark.parametrize("more", [[], BOTH, ["--ngrams", 3]])
def test_it_begins_as_the_start(train, more, sums, sums_lm, better, windows):
    """P_LM exp(-E) is P_start, text by text: Z is 1."""
    untrained = train("--lr", 0.0, "--max-update", 1, *more)
    energy = load_energy(untrained, sums, "fp32", CPU)
    with torch.no_grad():
        found = energy.model(windows, PREFIX)
        alone = energy.model.energy(windows.flatten(0, 1)).view(40, 3)
    log_p = [
        token_log_probs(
            load_base_lm(path, sums, "fp32", CPU).model, windows.flatten(0, 1), PREFIX, True
        )
        for path in (sums_lm, better)
    ]
    expected = (log_p[0] - log_p[1]).sum(dim=1).view(40, 3)
    assert expected.abs().mean() > 0.5
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alone, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("more", [[], BOTH])
def test_on_another_device(train, more, sums, windows):
    energy = load_energy(train("--lr", 0.0, "--max-update", 1, *more), sums, "fp32", CPU).model
    with elsewhere():
        energy.to(ELSEWHERE, torch.float16)
        assert energy(windows.to(ELSEWHERE), PREFIX).device == ELSEWHERE


def test_training_moves_the_start_and_never_the_base(train, sums, sums_lm, better):
    flags = ["--lr", 0.01, "--weight-decay", 0.1, "--max-update", 8]
    energy = load_energy(train(*flags), sums, "fp32", CPU)
    base, start = (
        load_base_lm(path, sums, "fp32", CPU).model.decoder for path in (sums_lm, better)
    )
    state = energy.model.base.decoder.state_dict()
    assert all(torch.equal(state[name], value) for name, value in base.state_dict().items())
    moved = energy.model.start.state_dict()
    differs = {n for n, v in start.state_dict().items() if not torch.equal(moved[n], v)}
    assert differs and all(name.startswith("residual.") for name in differs)


def test_a_frozen_start(train, sums, better):
    flags = ["--freeze-start", *BOTH, "--lr", 0.01, "--max-update", 8]
    energy = load_energy(train(*flags), sums, "fp32", CPU)
    start = load_base_lm(better, sums, "fp32", CPU).model.decoder
    state = energy.model.start.state_dict()
    assert all(torch.equal(state[name], value) for name, value in start.state_dict().items())
    assert energy.model.both.head.projection.weight.any()


def test_the_bidirectional_part_starts_from_a_model_too(train, sums, sums_lm):
    path = train(*BOTH, *LIKE_THE_LM, "--init-from", sums_lm, "--lr", 0.0, "--max-update", 1)
    embedding = load_energy(path, sums, "fp32", CPU).model.both.token_embedding().weight
    lm = load_base_lm(sums_lm, sums, "fp32", CPU).model
    assert torch.equal(embedding, lm.decoder.embed_tokens.weight)


def test_resumed_training_ends_as_if_it_had_not_stopped(train, tmp_path):
    flags = ["--lr", 0.01, *BOTH, "--disable-validation", "--max-update"]
    whole = train(*flags, 12)
    train(*flags, 6, folder=tmp_path)
    parts = torch.load(train(*flags, 12, folder=tmp_path), weights_only=True)["model"]
    for name, value in torch.load(whole, weights_only=True)["model"].items():
        torch.testing.assert_close(parts[name], value, atol=1e-6, rtol=0, msg=name)


def test_going_on_with_other_prefixes_is_refused(run_program, train, sums, sums_lm, neg, tmp_path):
    shorter = tmp_path / "neg"
    flags = ["--window", 10, "--stride", 10, "--prefix-length", PREFIX - 1, "--max-windows", 64]
    flags += ["--subsets", "train,valid", "--cpu", "--dest", shorter]
    done = run_program("fairseq-ebm negatives", sums, "--path", sums_lm, *flags)
    assert done.returncode == 0, done.stderr
    before = train("--lr", 0.01, "--max-update", 2)
    flags = ["--finetune-from-model", before, "--lr", 0.01, "--max-update", 2]
    message = train(*flags, store=shorter, fails=True).splitlines()[-1]
    assert "its continuations begin elsewhere" in message


def test_no_code_in_a_checkpoint_is_run(train, sums, tmp_path):
    state = torch.load(train("--lr", 0.01, "--max-update", 1), weights_only=True)
    flags = state["task_state"]["ratio"]["base"]["model"]
    flags["adaptive_softmax_cutoff"] = f"[open({str(tmp_path / 'ran')!r}, 'w').close(), 10]"
    torch.save(state, tmp_path / "energy.pt")
    with pytest.raises(UserError, match="would run as code"):
        load_energy(tmp_path / "energy.pt", sums, "fp32", CPU)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--base-lm", ""], "--base-lm: needed by --arch energy_ratio"),
        (["--start-lm", ""], "--start-lm: needed by --arch energy_ratio"),
        (["--base-lm", "{better}"], "has not written all of the negatives"),
        (["--start-lm", "nowhere.pt"], "--start-lm: nowhere.pt: no such file"),
        (["--base-lm", "nowhere.pt"], "--base-lm: nowhere.pt: no such file"),
    ],
)
def test_what_does_not_fit(train, better, flags, message):
    flags = [str(flag).format(better=better) for flag in flags]
    assert message in train("--lr", 0.01, "--max-update", 1, *flags, fails=True).splitlines()[-1]


def test_programs_take_it(run_program, train, sums, sums_lm, neg, tmp_path):
    energy = train("--lr", 0.001, "--max-update", 4)
    flags = [
        "--window",
        10,
        "--stride",
        10,
        "--prefix-length",
        PREFIX,
        "--max-windows",
        20,
        "--cpu",
    ]
    flags += ["--path", f"{sums_lm}:{energy}", "--num-samples", 64]
    done = run_program("fairseq-ebm eval-lm", sums, *flags)
    assert done.returncode == 0 and "joint" in done.stdout, done.stderr
    done = run_program("fairseq-ebm discriminate", neg, "--path", energy, "--cpu")
    assert done.returncode == 0, done.stderr
    done = run_program("fairseq-ebm weaknesses", neg, "--path", energy, "--max-windows", 4, "--cpu")
    assert done.returncode == 0, done.stderr
    assert "no token edits: an energy_ratio has several embeddings" in done.stdout
