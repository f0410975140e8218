"""fairseq-ebm-prepare as users run it: in fresh processes, on good text and bad."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fairseq.data import data_utils

from fairseq_ebm.data.sources import built_in_corpus
from fairseq_ebm.data.tokenizers import load_tokenizer

WEIRD = (
    "plain\n"
    "emoji 👩‍👩‍👧 🇩🇪\r\n"
    "\u202eשלום مرحبا\u202c\n"
    "\n"
    "control \x00\x01\x1b[31m\x7f\x85\u2028 \t tab\n"
    "\n\n"
    "   \u2581 spaces \u00a0\u3000  \n" + "one very long line, " * 55_000 + "\n"
    "no line feed at the end"
)
TINY_TRANSFORMER = [
    "--optimizer",
    "adam",
    "--lr",
    "0.001",
    "--tokens-per-sample",
    "64",
    "--batch-size",
    "8",
    "--max-update",
    "3",
    "--cpu",
    "--arch",
    "transformer_lm",
    "--decoder-layers",
    "1",
    "--decoder-embed-dim",
    "16",
    "--decoder-attention-heads",
    "2",
    "--decoder-ffn-embed-dim",
    "16",
    "--decoder-input-dim",
    "16",
    "--decoder-output-dim",
    "16",
    "--log-format",
    "simple",
    "--no-save",
    "--disable-validation",
]


def documents(data, split):
    tokenizer = load_tokenizer(data)
    dataset = data_utils.load_indexed_dataset(str(Path(data) / split), tokenizer.dictionary)
    return [tokenizer.decode(dataset[i][:-1].tolist()) for i in range(len(dataset))]


def refused(done, *parts):
    """Exit code 2, one line on standard error with all ``parts``, nothing on standard output."""
    assert done.returncode == 2, done
    lines = [line for line in done.stderr.splitlines() if "tensorboardX" not in line]
    assert len(lines) == 1 and lines[0].startswith("fairseq-ebm-prepare: error: "), done.stderr
    assert all(part in lines[0] for part in parts), lines[0]
    assert done.stdout == ""


def test_pydocs_is_what_was_promised(pydocs):
    splits = json.loads((pydocs / "prepare.json").read_text())["splits"]
    assert sum(counts["characters"] for counts in splits.values()) > 2_000_000
    assert all(counts["also_in_train"] == counts["unknown"] == 0 for counts in splits.values())
    texts = {split: documents(pydocs, split) for split in splits}
    assert texts == built_in_corpus("pydocs", 0, 0)  # to the byte
    everything = [text for split in texts.values() for text in split]
    assert len(set(everything)) == len(everything)


def test_twice_is_the_same_to_the_byte(pydocs, run_program, tmp_path):
    again = run_program(
        "fairseq-ebm-prepare", "--corpus", "pydocs", "--dest", tmp_path / "again", "--quiet"
    )
    assert again.returncode == 0 and again.stdout == ""
    for path in pydocs.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("task", ["language_modeling", "right_to_left_language_modeling"])
def test_fairseq_trains_on_it(pydocs, run_program, tmp_path, task):
    user_dir = [] if task == "language_modeling" else ["--user-dir", "fairseq_ebm"]
    done = run_program("fairseq-train", pydocs, "--task", task, *user_dir, *TINY_TRANSFORMER)
    assert done.returncode == 0, done.stderr
    assert "num_updates 3" in done.stdout + done.stderr


def test_addition(run_program, tmp_path):
    data = tmp_path / "sums"
    arguments = ["--corpus", "addition", "--digits", "2", "--dest", data]
    done = run_program("fairseq-ebm-prepare", *arguments)
    assert done.returncode == 0, done.stderr
    assert not (data / "sentencepiece.model").exists()
    texts = [text for split in ("train", "valid", "test") for text in documents(data, split)]
    assert len(texts) == 10_000 and all(re.fullmatch(r"[\d +=]{17}", text) for text in texts)


def test_weird_text_survives(run_program, tmp_path):
    (tmp_path / "a file").write_bytes(WEIRD.encode())
    (tmp_path / "english").write_text("plain text, and more of it\n" * 10)
    data = tmp_path / "some" / "da ta"
    files = ["--train", "a file", "english", "--valid", "a file", "--test", "english"]
    done = run_program(
        "fairseq-ebm-prepare", *files, "--dest", data, "--vocab-size", "300", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "\n".join(documents(data, "valid")) == WEIRD
    assert (
        "".join(text + "\n" for text in documents(data, "test"))
        == "plain text, and more of it\n" * 10
    )
    assert "8 distinct documents of valid stand in train too" in done.stdout


def test_vocabulary_of_another_directory(pydocs, run_program, tmp_path):
    (tmp_path / "new.txt").write_text("Return the naïve 漢字.\n")
    dest = tmp_path / "new"
    arguments = ["--test", tmp_path / "new.txt", "--vocab-from", pydocs, "--dest", dest]
    assert run_program("fairseq-ebm-prepare", *arguments).returncode == 0
    assert documents(dest, "test") == ["Return the naïve 漢字."]
    assert (dest / "dict.txt").read_bytes() == (pydocs / "dict.txt").read_bytes()


def test_again_with_the_same_options_does_nothing_and_with_others_is_refused(run_program, tmp_path):
    arguments = ["--corpus", "addition", "--digits", "1", "--dest", tmp_path / "data"]
    assert run_program("fairseq-ebm-prepare", *arguments).returncode == 0
    before = os.stat(tmp_path / "data" / "train.bin").st_mtime_ns
    assert run_program("fairseq-ebm-prepare", *arguments).returncode == 0
    assert os.stat(tmp_path / "data" / "train.bin").st_mtime_ns == before
    done = run_program("fairseq-ebm-prepare", *arguments, "--seed", "2")
    refused(done, "--dest", "other options")


FILES = {
    "good": b"some good text of a few different words\n",
    "empty": b"",
    "blank": b"\n \n\n",
    "latin": b"fine\nna\xefve\n",
}
GOOD = ["--train", "good", "--valid", "good", "--test", "good"]
BAD = {
    "no text": ([], ["--corpus"]),
    "two texts": ([*GOOD, "--corpus", "pydocs"], ["--train", "--corpus pydocs"]),
    "no train": (["--valid", "good"], ["--train", "--vocab-from"]),
    "unknown corpus": (["--corpus", "news"], ["--corpus", "'news'"]),
    "missing": ([*GOOD, "--test", "gone.txt"], ["gone.txt", "No such file"]),
    "directory": ([*GOOD, "--test", "."], [".: Is a directory"]),
    "empty": ([*GOOD, "--valid", "empty"], ["--valid", "empty", "no text"]),
    "blank": ([*GOOD, "--valid", "blank"], ["--valid", "blank", "no text"]),
    "latin": ([*GOOD, "--train", "latin"], ["latin", "line 2", "0xEF", "UTF-8"]),
    "too large": (GOOD, ["--vocab-size", "8000", "at most"]),
    "too small": ([*GOOD, "--vocab-size", "10"], ["--vocab-size", "10", "at least"]),
    "not a number": ([*GOOD, "--vocab-size", "ten"], ["--vocab-size", "'ten'"]),
    "no vocabulary there": ([*GOOD, "--vocab-from", "."], ["dict.txt", "no such file"]),
    "two vocabularies": ([*GOOD, "--vocab-from", ".", "--vocab-size", "9"], ["not allowed with"]),
    "digits of text": ([*GOOD, "--digits", "3"], ["--digits", "addition"]),
    "size of addition": (
        ["--corpus", "addition", "--vocab-size", "9"],
        ["--vocab-size", "addition"],
    ),
    "taken": ([*GOOD, "--vocab-size", "275", "--dest", "."], ["--dest", "something else"]),
}


@pytest.fixture(scope="module")
def bad_runs(tmp_path_factory):
    """All bad command lines, two processes at a time; (result, what the folder held after)."""
    running, done = {}, {}
    program = str(Path(sys.executable).parent / "fairseq-ebm-prepare")

    def finish(name):
        process, folder = running.pop(name)
        out, err = process.communicate(timeout=120)
        result = subprocess.CompletedProcess(name, process.returncode, out, err)
        done[name] = (result, {path.name for path in folder.iterdir()})

    for name, (arguments, _) in BAD.items():
        folder = tmp_path_factory.mktemp("bad")
        for file, content in FILES.items():
            (folder / file).write_bytes(content)
        command = [program, "--dest", "out", *arguments]
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running[name] = (process, folder)
        if len(running) == 2:
            finish(next(iter(running)))
    for name in list(running):
        finish(name)
    return done


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_line_and_leaves_nothing(bad_runs, name):
    done, left = bad_runs[name]
    refused(done, *BAD[name][1])
    assert left == set(FILES)


def test_a_terminal_shows_progress_and_ctrl_c_leaves_nothing(tmp_path):
    """On a small terminal, interrupted while it encodes."""
    text = "".join(f"line {i} of some text to encode\n" for i in range(400_000))
    (tmp_path / "text").write_text(text)
    program = str(Path(sys.executable).parent / "fairseq-ebm-prepare")
    command = [
        program,
        "--train",
        "text",
        "--valid",
        "text",
        "--dest",
        "out",
        "--vocab-size",
        "300",
    ]
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "40"}
    process = subprocess.Popen(command, cwd=tmp_path, stderr=follower, env=environment)
    os.close(follower)
    shown, deadline = b"", time.monotonic() + 120
    while b"encoding train" not in shown and time.monotonic() < deadline:
        shown += os.read(leader, 4096)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    while True:
        try:
            shown += os.read(leader, 4096)
        except OSError:  # closed
            break
    assert b"reading valid" in shown and b"interrupted" in shown and b"Traceback" not in shown
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
