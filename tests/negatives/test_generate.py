"""fairseq-ebm negatives as users run it: killed, sharded, merged, backwards, and on bad input."""

import json
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.errors import UserError
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.scoring import token_log_probs
from fairseq_ebm.negatives.options import Negatives
from fairseq_ebm.negatives.store import NegativesSubset
from tests.conftest import ours

PROGRAM = "fairseq-ebm negatives"
SHAPE = ["--window", 10, "--stride", 10, "--prefix-length", "6,8", "--num-negatives", 3]


def all_bytes(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def command(sums, sums_lm):
    return [sums, "--path", sums_lm, "--subsets", "valid,test", *SHAPE, "--cpu"]


@pytest.fixture(scope="module")
def plain(run_program, command, tmp_path_factory):
    """An uninterrupted run."""
    neg = tmp_path_factory.mktemp("plain") / "neg"
    done = run_program(PROGRAM, *command, "--dest", neg)
    assert done.returncode == 0, done.stderr
    assert "3 negatives each" in done.stdout and done.stderr == ""
    return neg


def rescored(neg, subset, data, checkpoint):
    """Largest difference of stored log-probabilities from scoring the stored text again."""
    lm = load_base_lm(checkpoint, data, "fp32", torch.device("cpu"))
    order = -1 if lm.right_to_left else 1
    worst = 0.0
    for example in list(NegativesSubset(neg, subset))[:100]:
        windows = np.concatenate([example.real[None], example.negatives])[:, ::order]
        scores = token_log_probs(lm.model, torch.tensor(windows.copy()), example.prefix_length)
        stored = torch.tensor([example.real_log_p, *example.log_p])
        worst = max(worst, float((scores.sum(1) - stored).abs().max()))
    return worst


def test_examples_are_real_windows_and_samples_with_their_probabilities(plain, sums, sums_lm):
    examples = list(NegativesSubset(plain, "valid"))
    tokenizer = load_tokenizer(plain)
    manifest = json.loads((plain / "manifest.json").read_text())
    assert manifest["subsets"]["valid"] == len(examples) > 900
    assert {e.prefix_length for e in examples} == {6, 8}
    for example in examples[:50]:
        text = tokenizer.decode(example.real)
        left, right = text.rstrip("\n").replace(" ", "").split("=")
        assert int(right) == sum(map(int, left.split("+")))  # windows are whole sums
        shared = example.prefix_length
        assert (example.negatives[:, :shared] == example.real[:shared]).all()
        assert np.allclose(example.log_p, example.log_q, atol=0.1)  # all but padding's share
    assert rescored(plain, "valid", sums, sums_lm) < 1e-4


def test_the_same_again_does_nothing_and_other_options_are_refused(plain, command, run_program):
    before = {p: p.stat().st_mtime_ns for p in plain.rglob("*.npy")}
    assert run_program(PROGRAM, *command, "--dest", plain).returncode == 0
    assert before == {p: p.stat().st_mtime_ns for p in plain.rglob("*.npy")}
    done = run_program(PROGRAM, *command, "--dest", plain, "--seed", 2)
    assert done.returncode == 2 and "other options (seed 1, now 2)" in done.stderr


def test_killed_five_times_it_ends_with_the_same_bytes(plain, command, tmp_path):
    """Each kill falls some moment after progress was made; should the machine be so fast, or so
    busy, that the work ends before the fifth, all begins anew with shorter moments."""
    for moment in (0.1, 0.03, 0.01, 0.001, 0):
        neg = tmp_path / str(moment) / "neg"
        line = ours("negatives", *command, "--dest", neg)
        chooser = random.Random(1)
        if all(killed(line, neg, chooser.uniform(0, moment)) for _ in range(5)):
            break
    else:
        pytest.fail("it always finished before it was killed 5 times")
    done = subprocess.run(line, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert all_bytes(neg) == all_bytes(plain)


def killed(line, folder, moment):
    """Runs until there is more progress, and a moment more; False if the program ended first."""
    before = work_done(folder)
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and work_done(folder) == before:
        time.sleep(0.002)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def work_done(folder):
    """What progress there is, to kill after some more of it."""
    return sorted(p.read_text() for p in folder.rglob("progress.json") if p.exists())


def test_three_shards_merged_end_with_the_same_bytes(plain, command, run_program, tmp_path):
    neg = tmp_path / "neg"
    line = [PROGRAM, *command, "--dest", neg]
    for rank in (2, 0):  # as torchrun tells it
        done = run_program(*line, RANK=str(rank), WORLD_SIZE="3")
        assert done.returncode == 0 and f"shard {rank} of 3: complete" in done.stdout
    early = run_program(PROGRAM, "--merge", neg)
    assert early.returncode == 2 and "shards 1 of 3" in early.stderr
    assert run_program(*line, "--shard-id", 1, "--num-shards", 3).returncode == 0
    merged = run_program(PROGRAM, "--merge", neg)
    assert merged.returncode == 0, merged.stderr
    assert all_bytes(neg) == all_bytes(plain)
    assert run_program(PROGRAM, "--merge", neg).returncode == 0  # again: nothing to do
    assert run_program(*line, RANK="1", WORLD_SIZE="3").returncode == 0
    assert all_bytes(neg) == all_bytes(plain)


def test_right_to_left_the_beginning_is_generated(run_program, sums, backward_lm, tmp_path):
    neg = tmp_path / "neg"
    line = [sums, "--path", backward_lm, "--subsets", "test", *SHAPE, "--cpu", "--dest", neg]
    refused = run_program(PROGRAM, *line)
    assert refused.returncode == 2 and "add --right-to-left" in refused.stderr
    done = run_program(PROGRAM, *line, "--right-to-left", "--max-windows", 70)
    assert done.returncode == 0, done.stderr
    examples = list(NegativesSubset(neg, "test"))
    assert len(examples) == 70
    for example in examples:
        left, right = load_tokenizer(neg).decode(example.real).replace(" ", "").split("=")
        assert int(right) == sum(map(int, left.split("+")))  # reads in natural order
        own = len(example.real) - example.prefix_length
        assert (example.negatives[:, own:] == example.real[own:]).all()
    assert any((e.negatives[:, :2] != e.real[:2]).any() for e in examples)
    assert rescored(neg, "test", sums, backward_lm) < 1e-4


def test_truncated_sampling_and_bfloat16_are_recorded(run_program, sums, sums_lm, tmp_path):
    neg = tmp_path / "neg"
    line = [sums, "--path", sums_lm, "--subsets", "test", *SHAPE, "--cpu", "--dest", neg]
    done = run_program(PROGRAM, *line, "--max-windows", 64, "--sampling-topk", 2, "--bf16")
    assert done.returncode == 0, done.stderr
    subset = NegativesSubset(neg, "test")
    assert subset.manifest.is_truncated and subset.manifest.options["precision"] == "bf16"
    assert all((example.log_q > example.log_p).all() for example in subset)


def jsonl(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def test_text_from_elsewhere(run_program, sums, tmp_path):
    real = jsonl(tmp_path / "real.jsonl", [f"1 {i % 10} + 2 0 = 0 3 {i % 10}" for i in range(80)])
    fake = jsonl(tmp_path / "fake.jsonl", ["9 9 + 9 9 = 0 0 0", "1"])
    line = ["--from-jsonl", real, fake, "--like", sums, "--dest", tmp_path / "neg"]
    line += ["--window", 9, "--subsets", "test"]
    done = run_program(PROGRAM, *line)
    assert done.returncode == 0, done.stderr
    assert "1 texts are shorter" in done.stdout
    (example, *_) = subset = NegativesSubset(tmp_path / "neg", "test")
    decode = load_tokenizer(tmp_path / "neg").decode
    assert len(subset) == 80 and subset.manifest.is_truncated
    assert decode(example.real) == "1 0 + 2 0 = 0 3 0"
    assert decode(example.negatives[0]) == "9 9 + 9 9 = 0 0 0"
    assert np.isnan(example.log_p).all()
    (tmp_path / "fake.jsonl").write_text('{"text": "x"}\n{"title": "y"}\n')
    bad = run_program(PROGRAM, *line)
    assert bad.returncode == 2 and 'fake.jsonl: line 2 has no "text"' in bad.stderr


def test_text_in_another_form(run_program, sums, tmp_path):
    real = jsonl(tmp_path / "real.jsonl", ["1 0 + 2 0 = 0 3 0"] * 3)
    fake = jsonl(tmp_path / "fake.jsonl", ["nine words are more than enough for a window"] * 3)
    line = ["--from-jsonl", real, fake, "--like", sums, "--dest", tmp_path / "neg"]
    done = run_program(PROGRAM, *line, "--window", 9, "--subsets", "test")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"--from-jsonl: {fake}: " in done.stderr
    assert "27 of 27 tokens are <unk>" in done.stderr and not (tmp_path / "neg").exists()


def test_bad_lines_are_passed_over_and_counted(run_program, sums, tmp_path):
    texts = ["1 0 + 2 0 = 0 3 0"] * 3
    real = jsonl(tmp_path / "real.jsonl", texts)
    fake = jsonl(tmp_path / "fake.jsonl", texts)
    line = ["--from-jsonl", real, fake, "--like", sums, "--window", 9, "--subsets", "test"]
    assert run_program(PROGRAM, *line, "--dest", tmp_path / "neg").returncode == 0
    fake.write_bytes(b'{"text": 1}\n' + fake.read_bytes() + b'{"text": "\xff"}\n{"text": "1 0 +')
    line += ["--skip-bad-lines", "--dest", tmp_path / "other"]
    done = run_program(PROGRAM, *line)
    assert done.returncode == 0, done.stderr
    assert (
        f'{fake}: 3 bad lines passed over; the first: {fake}: line 1 has no "text"' in done.stdout
    )
    assert done.stdout.count("passed over") == 1
    for name, content in all_bytes(tmp_path / "neg" / "test").items():
        assert (tmp_path / "other" / "test" / name).read_bytes() == content


@pytest.fixture(scope="module")
def sums_hugging_face(tmp_path_factory):
    """A random GPT-2 that writes sums' symbols."""
    pytest.importorskip("transformers")
    from tests.lm.tiny_hugging_face import random_model, words  # noqa: PLC0415 needs transformers

    symbols = [*"0123456789", "+", "="]
    folder = tmp_path_factory.mktemp("hf") / "gpt2"
    return random_model(folder, words(symbols, eos_token="<end>"))


def test_a_hugging_face_model_writes(run_program, sums, sums_hugging_face, tmp_path):
    neg = tmp_path / "neg"
    line = [sums, "--hf", sums_hugging_face, "--subsets", "test", *SHAPE, "--max-windows", 40]
    done = run_program(PROGRAM, *line, "--cpu", "--dest", neg)
    assert done.returncode == 0, done.stderr
    assert "test: 40 windows, 3 negatives each" in done.stdout and done.stderr == ""
    subset = NegativesSubset(neg, "test")
    manifest = json.loads((neg / "manifest.json").read_text())
    assert manifest["source"]["hugging_face"]["architecture"] == "GPT2LMHeadModel"
    assert len(manifest["source"]["hugging_face"]["sha256"]) == 64
    assert set(manifest["source"]["text"]) == {"train", "valid", "test"}
    assert manifest["versions"]["transformers"] and manifest["options"]["sampling_topk"] is None
    assert subset.manifest.is_truncated and subset.manifest.sampler == "Hugging Face model"
    symbols = load_tokenizer(neg).dictionary
    for example in subset:
        shared = example.prefix_length
        assert (example.negatives[:, :shared] == example.real[:shared]).all()
        assert (example.negatives[:, shared:] != symbols.pad()).all()
        assert np.isnan([example.real_log_p, *example.log_p, *example.log_q]).all()
    assert len({tuple(window) for e in subset for window in e.negatives}) > 80
    before = all_bytes(neg)
    assert run_program(PROGRAM, *line, "--cpu", "--dest", neg).returncode == 0
    assert all_bytes(neg) == before


def test_a_full_disk_says_what_is_whole_and_goes_on_later(plain, command, tmp_path):
    """A limit on the size of files stands for the disk: the kernel refuses what goes beyond it."""
    shutil.copytree(plain, tmp_path / "neg")
    shutil.rmtree(tmp_path / "neg" / "test")
    manifest = tmp_path / "neg" / "manifest.json"
    values = json.loads(manifest.read_text())
    whole = {"valid": values["subsets"]["valid"]}
    manifest.write_text(json.dumps({**values, "subsets": whole}))
    line = ours("negatives", *command, "--dest", tmp_path / "neg")
    room = 6000  # bytes: less than an array of the subset needs
    limited = subprocess.run(
        line,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    assert limited.returncode == 2, limited.stderr
    assert "while writing test; complete and usable: valid" in limited.stderr
    assert limited.stderr.count("\n") == 1
    assert len(NegativesSubset(tmp_path / "neg", "valid")) == whole["valid"]
    assert subprocess.run(line, capture_output=True).returncode == 0
    assert all_bytes(tmp_path / "neg") == all_bytes(plain)


SAMPLING = ["DATA", "--path", "LM", "--dest", "neg", "--window", "10", "--prefix-length", "6"]
BAD = {
    "no data": (["--path", "LM", "--dest", "neg"], ["DATA", "needed"]),
    "no model": (["DATA", "--dest", "neg"], ["--path", "needed"]),
    "two models": (
        ["DATA", "--path", "LM", "--hf", "gpt2", "--dest", "neg"],
        ["--hf", "--path", "drop one"],
    ),
    "backwards with Hugging Face": (
        ["DATA", "--hf", "gpt2", "--right-to-left", "--dest", "neg"],
        ["--right-to-left", "left to right"],
    ),
    "no Hugging Face model": (
        ["DATA", "--hf", ".", "--dest", "neg", "--window", "10", "--prefix-length", "6"],
        ["--hf: .", "config.json"],
    ),
    "bad lines of what": ([*SAMPLING, "--skip-bad-lines"], ["--skip-bad-lines", "--from-jsonl"]),
    "missing model": (["DATA", "--path", "gone.pt", "--dest", "neg"], ["gone.pt", "no such file"]),
    "no checkpoint": (
        ["DATA", "--path", "DATA/dict.txt", "--dest", "neg"],
        ["dict.txt", "not a fairseq checkpoint"],
    ),
    "missing data": (
        ["nowhere", "--path", "LM", "--dest", "neg"],
        ["nowhere", "no such directory"],
    ),
    "missing split": (
        ["DATA", "--path", "LM", "--dest", "neg", "--subsets", "dev"],
        ["dev", "no such split"],
    ),
    "prefix as long as the window": (
        ["DATA", "--path", "LM", "--dest", "neg", "--window", "10", "--prefix-length", "10"],
        ["--prefix-length", "10"],
    ),
    "prefix that is none": (
        ["DATA", "--path", "LM", "--dest", "neg", "--prefix-length", "ten"],
        ["--prefix-length", "'ten'"],
    ),
    "window beyond the positions": (
        ["DATA", "--path", "LM", "--dest", "neg", "--window", "200"],
        ["--window: windows of 200 tokens, but", "reads 64"],
    ),
    "split too short": (
        ["DATA", "--path", "LM", "--dest", "neg", "--window", "1000000"],
        ["too few for one window"],
    ),
    "k above the vocabulary": (
        [*SAMPLING, "--sampling-topk", "99"],
        ["--sampling-topk", "99", "vocabulary"],
    ),
    "p above one": (
        [*SAMPLING, "--sampling-topp", "1.5"],
        ["--sampling-topp", "1.5"],
    ),
    "temperature of nothing": (
        [*SAMPLING, "--temperature", "0"],
        ["--temperature", "0"],
    ),
    "half on the CPU": (
        [*SAMPLING, "--fp16", "--cpu"],
        ["--fp16", "GPU"],
    ),
    "another dictionary": (
        ["OTHER", "--path", "LM", "--dest", "neg"],
        ["DATA/dict.txt", "OTHER/dict.txt", "symbol 4"],
    ),
    "a shard that is none": (
        ["DATA", "--path", "LM", "--dest", "neg", "--shard-id", "3", "--num-shards", "3"],
        ["--shard-id", "3"],
    ),
    "taken": (["DATA", "--path", "LM", "--dest", "."], ["--dest", "something else"]),
    "merging nothing": (["--merge", "neg"], ["neg", "not a store"]),
    "text like what": (["--from-jsonl", "a", "b", "--dest", "neg"], ["--like", "needed"]),
    "missing text": (["--from-jsonl", "a", "b", "--like", "DATA", "--dest", "neg"], ["a: No such"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_line_and_leaves_nothing(
    name, run_program, sums, sums_lm, pydocs, tmp_path
):
    (tmp_path / "something").touch()
    arguments, parts = BAD[name]
    if name == "taken":
        arguments = [*arguments, "--window", "10", "--prefix-length", "6"]
    names = {"DATA": str(sums), "LM": str(sums_lm), "OTHER": str(pydocs)}

    def spelled(text):
        for short, long in names.items():
            text = text.replace(short, long) if short in text else text
        return text

    done = run_program(PROGRAM, *map(spelled, arguments), cwd=tmp_path)
    assert done.returncode == 2, done
    assert done.stderr.startswith(f"{PROGRAM}: error: ") and done.stderr.count("\n") == 1
    parts = [spelled(part) if "/" in part else part for part in parts]
    assert all(part in done.stderr for part in parts), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


def test_merging_is_no_part_of_a_job(monkeypatch):
    """Whatever array of tasks it runs in."""
    array = {"COUNT": 3, "MIN": 1, "MAX": 9, "STEP": 1, "ID": 5}  # --array=1,5,9
    for name, value in array.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    assert Negatives(merge="neg").merge == Path("neg")
    with pytest.raises(UserError, match="not evenly spaced"):
        Negatives(data="data", path="lm.pt", dest="neg")
