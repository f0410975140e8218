"""``fairseq-train --task data_selection_lm`` in processes of its own."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.directional import Landscape
from fairseq_ebm.selection.blocks import load_blocks
from tests.conftest import CHECKOUT
from tests.selection.mixture import CUT, GENERIC, RIGHT, language_model, prepare_mixture
from tests.tasks.training import Trained
from tests.tasks.training import train as train_energy

LEARNED = {
    "classifier": [],
    "dds": ["--dds-lr", 0.1],
    "anograd": ["--anograd-norm", "hessian"],
    "soba": ["--soba-ridge", 0.1],
}
SOURCE = "right"


@pytest.fixture(scope="module")
def texts(run_program, tmp_path_factory):
    return prepare_mixture(run_program, tmp_path_factory.mktemp("mixture"))


def command(texts, folder, selection, *flags, **changed):
    generic, specific = texts
    return [
        *[generic, "--user-dir", CHECKOUT / "fairseq_ebm", "--task", "data_selection_lm"],
        *["--specific", specific, "--selection", selection, "--save-dir", folder, "--cpu"],
        *[*language_model(**changed), "--log-format", "json", "--log-interval", 1, *flags],
    ]


def train(run_program, texts, folder, selection, *flags, fails=False, **changed):
    arguments = command(texts, folder, selection, *flags, **changed)
    done = run_program("fairseq-train", *arguments)
    assert (done.returncode != 0) == fails, done.stderr
    return Trained(done, folder)


def checkpoint(folder):
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)


def log_of(folder):
    return [json.loads(line) for line in (folder / "selection.jsonl").open()]


def require_equal(one, other, where=""):
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            require_equal(one[name], other[name], f"{where}/{name}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for index, (left, right) in enumerate(zip(one, other)):
            require_equal(left, right, f"{where}/{index}")
    elif isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, rtol=0, atol=0, msg=where)
    elif "seconds" not in where and "selecting" not in where:
        assert one == other, where


@pytest.fixture(scope="module")
def stock(run_program, texts, tmp_path_factory):
    """fairseq's own task: its losses, with dropout."""
    folder = tmp_path_factory.mktemp("stock")
    flags = [*language_model(dropout=0.2, max_update=8), *CUT, "--task", "language_modeling"]
    flags += ["--log-format", "json", "--log-interval", 1, "--save-dir", folder, "--cpu"]
    done = run_program("fairseq-train", texts[0], *flags)
    assert done.returncode == 0, done.stderr
    return Trained(done, folder)


@pytest.fixture(scope="module")
def energy(run_program, texts, tmp_path_factory):
    """Specific text is real to it, generic text generated: our own training of energies."""
    folder = tmp_path_factory.mktemp("energy")
    sources = {"real": ["specific.train"], "fake": ["wide", "right"]}
    for kind, names in sources.items():
        lines = [line for name in names for line in (texts[0].parent / f"{name}.txt").open()]
        objects = (json.dumps({"text": line.rstrip("\n")}) + "\n" for line in lines)
        (folder / f"{kind}.jsonl").write_text("".join(objects))
    flags = ["--from-jsonl", folder / "real.jsonl", folder / "fake.jsonl", "--like", texts[0]]
    flags += ["--window", 12, "--stride", 12, "--prefix-length", 0, "--dest", folder / "neg"]
    done = run_program("fairseq-ebm negatives", *flags)
    assert done.returncode == 0, done.stderr
    flags = ["--max-update", 60, "--lr", 0.02, "--disable-validation"]
    return train_energy(run_program, folder / "neg", "energy_bow", folder, *flags).folder


@pytest.mark.parametrize("selection", ["generic", *LEARNED])
def test_all_of_a_batch_with_equal_scores_is_stock(run_program, texts, stock, selection, tmp_path):
    """Losses and weights bit for bit: no random number of the model's is used up."""
    flags = [*CUT, "--meta-lr", 0, *LEARNED.get(selection, [])]
    trained = train(run_program, texts, tmp_path, selection, *flags, dropout=0.2, max_update=8)
    assert trained.losses == stock.losses and len(trained.losses) >= 8
    require_equal(checkpoint(tmp_path)["model"], checkpoint(stock.folder)["model"])


@pytest.mark.parametrize("selection", LEARNED)
def test_the_right_source_is_found(run_program, texts, selection, tmp_path):
    """10% of the documents are like the specific ones; one in four is chosen."""
    flags = [*CUT, "--batch-size", 32, "--selected-size", 8, "--meta-lr", 0.02]
    flags += ["--valid-subset", "specific_valid,valid", "--validate-interval-updates", 20]
    trained = train(run_program, texts, tmp_path, selection, *flags, max_update=40)
    log = log_of(tmp_path)
    lines = [line for line in log if "share" in line]
    assert [line["update"] for line in lines] == list(range(1, 41))
    assert all(line["chosen"] == 8 for line in lines)
    first, last = (
        sum(line["share"][SOURCE] for line in part) / 10 for part in (lines[:10], lines[-10:])
    )
    assert last > max(0.2, first)
    assert 8 < lines[-1]["distinct"] <= min(320, GENERIC + RIGHT)
    assert 0 < lines[-1]["selecting"] < lines[-1]["seconds"]
    valid = [line["valid"] for line in log if "valid" in line]
    told = trained.last("specific_valid_loss")
    assert {name for each in valid for name in each} == {"specific_valid", "valid"}
    final = [each["specific_valid"] for each in valid if "specific_valid" in each][-1]
    assert final / torch.tensor(2.0).log().item() == pytest.approx(told, abs=2e-3)


@pytest.mark.parametrize("selection", ["generic", "mix", "energy", "classifier", "soba"])
def test_resuming_repeats_what_would_have_been(run_program, texts, energy, selection, tmp_path):
    """In the second epoch, dropout on, updates of two batches: weights, network, v, what was
    seen, and the log."""
    flags = [*CUT, "--batch-size", 32, "--selected-size", 8, "--update-freq", 2, "--meta-every", 2]
    flags += ["--disable-validation", "--log-interval", 3]
    if selection == "energy":
        flags += ["--selection-energy", energy / "checkpoint_last.pt"]

    def run(folder, updates):
        changed = {"dropout": 0.2, "max_update": updates}
        return train(run_program, texts, tmp_path / folder, selection, *flags, **changed)

    run("whole", 12)
    run("parts", 7)
    with (tmp_path / "parts/selection.jsonl").open("a") as log:  # killed after its checkpoint
        log.write('{"update": 9, "chosen": 1}\n{"update": 9, "cho')
    run("parts", 12)
    whole, parts = (checkpoint(tmp_path / name) for name in ("whole", "parts"))
    for part in ("model", "task_state"):
        require_equal(whole[part], parts[part], part)
    require_equal(log_of(tmp_path / "whole"), log_of(tmp_path / "parts"))


def in_two_processes(run_program, arguments, cwd):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    flags = ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]
    flags += ["--distributed-init-method", address, "--distributed-world-size", 2]
    flags += ["--distributed-no-spawn", "--distributed-rank"]

    def run(rank):
        return run_program("fairseq-train", *arguments, *flags, rank, cwd=cwd)

    with ThreadPoolExecutor(2) as pool:
        two = list(pool.map(run, (0, 1)))
    assert [done.returncode for done in two] == [0, 0], two[0].stderr + two[1].stderr
    return two


@pytest.mark.parametrize("selection", ["classifier", "soba"])
def test_two_processes_hold_one_network(run_program, texts, selection, tmp_path):
    """Each step is checked to leave the same one on both (``require_same``). 400 documents are 25
    batches: one process is given a dummy at the end of an epoch."""
    flags = [*CUT, "--batch-size", 16, "--selected-size", 4, "--disable-validation"]
    flags += ["--meta-lr", 0.02]
    arguments = command(texts, tmp_path, selection, *flags, max_update=26)
    in_two_processes(run_program, arguments, tmp_path)
    lines = log_of(tmp_path)
    assert {line["chosen"] for line in lines} == {8, 4}
    assert [line["update"] for line in lines] == list(range(1, 27))
    state = checkpoint(tmp_path)["task_state"]["selection"]
    steps = {float(each["step"]) for each in state["system"]["adam"]["state"].values()}
    assert steps == {26.0}


def test_mixing_weighs_both_gradients(run_program, texts, tmp_path):
    """One step of plain gradient descent on all of both texts."""
    generic, specific = texts
    flags = [*CUT, "--disable-validation", "--selected-size", 400, "--generic-weight", 0.7]
    changed = {"optimizer": "sgd", "batch_size": 400, "max_update": 1}
    for name, lr in (("before", 0.0), ("after", 1.0)):
        train(run_program, texts, tmp_path / name, "mix", *flags, lr=lr, **changed)
    models = {
        name: load_base_lm(tmp_path / name / "checkpoint_last.pt", generic, "fp32",
                           torch.device("cpu"))
        for name in ("before", "after")
    }  # fmt: skip
    before, after = (Landscape(lm.model, lm.dictionary.pad()) for lm in models.values())
    gradients = []
    for data in (generic, specific):
        cut = {"sample_break_mode": "eos", "shorten_method": "truncate", "tokens_per_sample": 64}
        blocks = load_blocks(data, "train", cut)
        whole = blocks.collater([blocks[i] for i in range(len(blocks))])
        gradients.append(before.gradient(whole)[1])
    expected = 0.7 * gradients[0] + 0.3 * gradients[1]
    step = before.theta - after.theta
    assert (step - expected).norm() / expected.norm() < 1e-3


def test_what_comes_out_is_a_language_model(run_program, texts, tmp_path):
    """Of our programs, and stock fairseq goes on from it without the plugin."""
    flags = [*CUT, "--batch-size", 32, "--selected-size", 8, "--disable-validation"]
    train(run_program, texts, tmp_path / "lm", "soba", *flags, max_update=5)
    path = tmp_path / "lm/checkpoint_last.pt"
    windows = ["--window", 20, "--stride", 20, "--prefix-length", 5, "--cpu"]
    done = run_program("fairseq-ebm eval-lm", texts[1], "--path", path, *windows)
    assert done.returncode == 0, done.stderr
    flags = [*language_model(max_update=3, lr=0.001), *CUT, "--task", "language_modeling"]
    flags += ["--finetune-from-model", path, "--save-dir", tmp_path / "tuned", "--cpu"]
    done = run_program("fairseq-train", texts[1], *flags)
    assert done.returncode == 0, done.stderr
    assert "selection" not in checkpoint(tmp_path / "tuned")["task_state"]


def test_an_energy_chooses(run_program, texts, energy, tmp_path):
    """While a language model trains, and beforehand; and its scores, too."""
    path = energy / "checkpoint_last.pt"
    flags = [*CUT, "--batch-size", 40, "--selected-size", 4, "--disable-validation"]
    train(run_program, texts, tmp_path / "now", "energy", *flags, "--selection-energy", path)
    scores = ["--energy", path, "--dest", tmp_path / "scores", *CUT, "--cpu"]
    done = run_program("fairseq-ebm selection-scores", texts[0], *scores)
    assert done.returncode == 0, done.stderr
    before = ["--selection-scores", tmp_path / "scores"]
    train(run_program, texts, tmp_path / "before", "energy", *flags, *before)
    now, then = (log_of(tmp_path / name) for name in ("now", "before"))
    seen = [checkpoint(tmp_path / n)["task_state"]["selection"]["log"] for n in ("now", "before")]
    assert torch.equal(seen[0]["seen"], seen[1]["seen"])
    assert [line["share"] for line in now] == [line["share"] for line in then]
    assert sum(line["share"][SOURCE] for line in now) / len(now) > 0.5
    train(run_program, texts, tmp_path / "cds", "cds", *flags, *before)
    cds = log_of(tmp_path / "cds")
    assert sum(line["share"][SOURCE] for line in cds) / len(cds) > 0.7
    other = ["--tokens-per-sample", 32]
    trained = train(run_program, texts, tmp_path / "x", "cds", *flags, *before, *other, fails=True)
    assert "of other examples (tokens per sample 64, here 32)" in trained.error


BAD = [
    ("generic", ["--selected-size", 17], "--selected-size 17: more than the 16 of --batch-size"),
    ("soba", ["--specific", ""], "--selection soba: needs --specific"),
    ("soba", ["--specific", "nowhere"], "--specific: nowhere: no prepared text there"),
    ("cds", [], "--selection cds: needs the scores of all generic text"),
    ("cds", ["--selection-scores", "nowhere"], "nowhere: no scores there"),
    ("energy", [], "give --selection-energy ENERGY.pt, or its --selection-scores, one of them"),
    ("energy", ["--selection-energy", "no.pt"], "--selection-energy: no.pt: no such file"),
    ("dds", ["--weighting", "transformer_lm"], "--weighting transformer_lm: not an energy"),
    ("dds", ["--weighting", "energy_ngram", "--weighting-dim", 8], "has no width"),
    ("mix", ["--generic-weight", 1.5], "--generic-weight: 1.5 is not between 0 and 1"),
    ("dds", ["--meta-every", 0], "--meta-every: 0 is below 1"),
    ("dds", ["--specific", "a:b"], "--specific: a:b: data_selection_lm wants one folder"),
    ("dds", ["--weighting", "energy_roberta", "--weighting-dim", 50], "--weighting-dim 50"),
    ("dds", ["--adaptive-softmax-cutoff", "20,40", "--criterion", "adaptive_loss"], "adaptive"),
    ("soba", ["--tokens-per-sample", 1024, "--weighting", "energy_roberta"], "reads 511 tokens"),
]


@pytest.mark.parametrize(("selection", "flags", "message"), BAD)
def test_bad_flags(run_program, texts, selection, flags, message, tmp_path):
    """Told before anything is done."""
    trained = train(run_program, texts, tmp_path, selection, *CUT, *flags, fails=True)
    assert message in trained.error and not list(tmp_path.iterdir())


def test_another_dictionary(run_program, texts, sums, tmp_path):
    trained = train(run_program, (texts[0], sums), tmp_path, "soba", *CUT, fails=True)
    assert "--specific: prepared with" in trained.error


def test_going_on_with_another_system(run_program, texts, tmp_path):
    """What was learnt is of no use to it. From generic training anything may follow."""
    flags = [*CUT, "--batch-size", 80, "--selected-size", 8, "--disable-validation"]
    few = ["--batch-size", 16]  # 25 batches an epoch, and then 5
    train(run_program, texts, tmp_path, "generic", *flags, *few, max_update=9)
    train(run_program, texts, tmp_path, "dds", *flags, "--reset-dataloader", max_update=12)
    assert [line["update"] for line in log_of(tmp_path)] == list(range(1, 13))
    trained = train(run_program, texts, tmp_path, "soba", *flags, max_update=14, fails=True)
    assert "trained with --selection dds, not soba" in trained.error
