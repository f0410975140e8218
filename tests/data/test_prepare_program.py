"""fairseq-ebm prepare as users run it: in fresh processes, on good text and bad."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from itertools import chain
from pathlib import Path

import pytest
from fairseq.data import data_utils

from fairseq_ebm.data.sources import built_in_corpus
from fairseq_ebm.data.tokenizers import load_tokenizer
from tests.conftest import CHECKOUT, heed_interrupts, ours

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
TINY = {
    "--arch": "transformer_lm",
    "--decoder-layers": 1,
    "--decoder-embed-dim": 16,
    "--decoder-input-dim": 16,
    "--decoder-output-dim": 16,
    "--decoder-ffn-embed-dim": 16,
    "--decoder-attention-heads": 2,
    "--optimizer": "adam",
    "--lr": 0.001,
    "--tokens-per-sample": 64,
    "--batch-size": 8,
    "--max-update": 3,
    "--log-format": "simple",
}
TRAINING = [*chain(*TINY.items()), "--cpu", "--no-save", "--disable-validation"]


def documents(data, split):
    tokenizer = load_tokenizer(data)
    dataset = data_utils.load_indexed_dataset(str(Path(data) / split), tokenizer.dictionary)
    return [tokenizer.decode(dataset[i][:-1].tolist()) for i in range(len(dataset))]


def refused(done, *parts):
    """Exit code 2, one line on standard error with all ``parts``, nothing on standard output."""
    assert done.returncode == 2, done
    assert done.stderr.startswith("fairseq-ebm prepare: error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(part in done.stderr for part in parts), done.stderr
    assert done.stdout == ""


def test_pydocs_is_what_was_promised(pydocs):
    splits = json.loads((pydocs / "prepare.json").read_text())["splits"]
    assert sum(counts["characters"] for counts in splits.values()) > 2_000_000
    assert all(counts["also_in_train"] == counts["unknown"] == 0 for counts in splits.values())
    texts = {split: documents(pydocs, split) for split in splits}
    assert texts == built_in_corpus("pydocs", 0, 0)  # to the byte
    everything = [text for split in texts.values() for text in split]
    assert len(set(everything)) == len(everything)


def test_twice_is_the_same_to_the_byte_and_in_time(pydocs, tmp_path):
    """In a process of its own, with another order of sets than the first."""
    command = [*ours("prepare"), "--corpus", "pydocs", "--dest", str(tmp_path / "again"), "--quiet"]
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    again = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert again.returncode == 0 and again.stdout == b"", again.stderr
    for path in pydocs.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("task", ["language_modeling", "right_to_left_language_modeling"])
def test_fairseq_trains_on_it(pydocs, run_program, tmp_path, task):
    user_dir = [] if task == "language_modeling" else ["--user-dir", CHECKOUT / "fairseq_ebm"]
    done = run_program("fairseq-train", pydocs, "--task", task, *user_dir, *TRAINING, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "num_updates 3" in done.stdout + done.stderr


def test_addition(run_program, tmp_path):
    data = tmp_path / "sums"
    arguments = ["--corpus", "addition", "--digits", "2", "--dest", data]
    done = run_program("fairseq-ebm prepare", *arguments)
    assert done.returncode == 0, done.stderr
    assert not (data / "sentencepiece.model").exists()
    texts = [text for split in ("train", "valid", "test") for text in documents(data, split)]
    assert len(texts) > 9_900 and all(re.fullmatch(r"[\d +=]{17}", text) for text in texts)


def test_weird_text_survives(run_program, tmp_path):
    (tmp_path / "a file").write_bytes(WEIRD.encode())
    (tmp_path / "english").write_text("plain text, and more of it\n" * 10)
    data = tmp_path / "some" / "da ta"
    files = ["--train", "a file", "english", "--valid", "a file", "--test", "english"]
    done = run_program(
        "fairseq-ebm prepare", *files, "--dest", data, "--vocab-size", "300", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "\n".join(documents(data, "valid")) == WEIRD
    assert (
        "".join(text + "\n" for text in documents(data, "test"))
        == "plain text, and more of it\n" * 10
    )
    assert "distinct documents of valid that are in train too: 7" in done.stdout


def test_vocabulary_of_another_directory(pydocs, run_program, tmp_path):
    (tmp_path / "new.txt").write_text("Return the naïve 漢字.\n")
    dest = tmp_path / "new"
    arguments = ["--test", tmp_path / "new.txt", "--vocab-from", pydocs, "--dest", dest]
    assert run_program("fairseq-ebm prepare", *arguments).returncode == 0
    assert documents(dest, "test") == ["Return the naïve 漢字."]
    assert (dest / "dict.txt").read_bytes() == (pydocs / "dict.txt").read_bytes()


def test_again_with_the_same_options_does_nothing_and_with_others_is_refused(run_program, tmp_path):
    arguments = ["--corpus", "addition", "--digits", "1", "--dest", tmp_path / "data"]
    assert run_program("fairseq-ebm prepare", *arguments).returncode == 0
    before = os.stat(tmp_path / "data" / "train.bin").st_mtime_ns
    assert run_program("fairseq-ebm prepare", *arguments).returncode == 0
    assert os.stat(tmp_path / "data" / "train.bin").st_mtime_ns == before
    done = run_program("fairseq-ebm prepare", *arguments, "--seed", "2")
    refused(done, "--dest", "other options")


FILES = {
    "good": b"some good text of a few different words\n",
    "empty": b"",
    "blank": b"\n \n\n",
    "latin": b"fine\nna\xefve\n",
}
ALL = "--train good --valid good --test good"
BAD = {
    "no text": ("", ["--corpus"]),
    "two texts": (f"{ALL} --corpus pydocs", ["--train", "--corpus pydocs"]),
    "no train": ("--valid good", ["--train", "--vocab-from"]),
    "unknown corpus": ("--corpus news", ["--corpus", "'news'"]),
    "missing": ("--train good --valid gone.txt", ["gone.txt", "No such file"]),
    "directory": ("--train good --valid .", [".: Is a directory"]),
    "empty": ("--train good --valid empty", ["--valid", "empty", "no text"]),
    "blank": ("--train good --valid blank", ["--valid", "blank", "no text"]),
    "one of two": ("--train good --train latin", ["latin", "line 2", "0xEF", "UTF-8"]),
    "too large": (ALL, ["--vocab-size", "8000", "at most"]),
    "too small": (f"{ALL} --vocab-size 10", ["--vocab-size", "10", "at least"]),
    "beyond numbers": (f"{ALL} --vocab-size 99999999999", ["--vocab-size", "'99999999999'"]),
    "not a number": (f"{ALL} --vocab-size ten", ["--vocab-size", "'ten'"]),
    "too many digits": ("--corpus addition --digits 5000", ["--digits", "'5000'"]),
    "negative seed": ("--corpus addition --seed -1", ["--seed", "'-1'"]),
    "no vocabulary there": (f"{ALL} --vocab-from .", ["dict.txt", "no such file"]),
    "two vocabularies": (
        f"{ALL} --vocab-from . --vocab-size 9",
        ["--vocab-size: --vocab-from brings"],
    ),
    "taken": (f"{ALL} --vocab-size 275 --dest .", ["--dest", "something else"]),
    "below a file": (f"{ALL} --vocab-size 275 --dest good/x", ["--dest", "good/x"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_line_and_leaves_nothing(run_program, tmp_path, name):
    arguments, parts = BAD[name]
    for file, content in FILES.items():
        (tmp_path / file).write_bytes(content)
    line = ["--dest", "out", *arguments.split()]
    done = run_program("fairseq-ebm prepare", *line, cwd=tmp_path)
    refused(done, *parts)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


@pytest.mark.parametrize("stage", ["making the vocabulary", "encoding train"])
def test_a_small_terminal_shows_progress_and_ctrl_c_leaves_nothing(tmp_path, stage):
    (tmp_path / "text").write_text("".join(f"line {i} of some text\n" for i in range(200_000)))
    command = [
        *ours("prepare"),
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
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 40, 0, 0))
    process = subprocess.Popen(command, cwd=tmp_path, stderr=follower, preexec_fn=heed_interrupts)
    os.close(follower)
    shown = b""
    while stage.encode() not in shown:  # a program that ends without it raises OSError here
        shown += os.read(leader, 4096)
    process.send_signal(signal.SIGINT)
    while chunk := read_or_nothing(leader):
        shown += chunk
    assert process.wait(timeout=60) == 130
    assert b"reading valid" in shown and b"interrupted" in shown and b"Traceback" not in shown
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def read_or_nothing(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""
