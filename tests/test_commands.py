"""The commands of docs/commands.md run as they stand there, one after another, but smaller."""

import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fairseq_ebm.workflow.children import installed_programs
from tests.conftest import CHECKOUT
from tests.explore.conftest import Server

pytestmark = pytest.mark.slow
TEXT = (CHECKOUT / "docs" / "commands.md").read_text(encoding="utf-8")
PROGRAMS = [name for name in installed_programs() if name.startswith("fairseq-")]
WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ab", "el", "ixo", "umi", "or", "an")]
SHAPE = "--decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32"
TRAINING = f"{SHAPE} --decoder-attention-heads 2 --max-update 4 --num-workers 0"

# What is added to commands that have these words; the last one of equal flags holds.
SMALLER = {
    "--corpus pydocs": "--vocab-size 1000",
    "--corpus pysource": "--vocab-size 1000",
    "--corpus packages": "--vocab-size 1000",
    "a.txt": "--vocab-size 400",
    "fairseq-train data": f"{TRAINING} --decoder-input-dim 16 --decoder-output-dim 16",
    "fairseq-train neg": TRAINING,
    "fairseq-ebm negatives data": "--max-windows 24 --window 40 --stride 40 --prefix-length 24",
    "--from-jsonl": "--window 40 --stride 40 --prefix-length 24",
    "torchrun": "--max-windows 8 --window 40 --stride 40 --prefix-length 24 --cpu",
    "fairseq-ebm eval-lm": "--max-windows 3 --num-samples 8",
    "--fit-weights": "--max-windows 24 --num-samples 32",  # enough for some to be good
    "fairseq-generate": "--joint-samples 8 --prefix-size 24 --window 40",
    "fairseq-interactive": "--joint-samples 8 --generation-length 8",
    "fairseq-ebm next-token": "--num-samples 4 --candidates 4",
    "webtext": "--cpu",
    "fairseq-ebm weaknesses": "--max-windows 4 --positions 2 --edits 2 --visible 4,8",
    "--specific data/specific --selection": "--batch-size 16 --selected-size 4",
    "fairseq-ebm run": "--dry-run",
}


def blocks():
    """(what stands above it, its lines) of each indented block."""
    text = re.sub(r"\\\n\s*", "", TEXT)
    for match in re.finditer(r"(?:(?<=\n\n)(?:    .*\n)+)", text):
        above = text[: match.start()].rstrip().rpartition("\n\n")[2]
        yield above, [line.strip() for line in match[0].splitlines()]


def is_command(line):
    return line.split()[0] in (*PROGRAMS, "torchrun", "echo")


def commands():
    for above, lines in blocks():
        if "*(download)*" not in above:
            yield from (re.sub(r"\s+#.*", "", line) for line in lines if is_command(line))


def smaller(command):
    added = " ".join(more for words, more in SMALLER.items() if words in command)
    if "generate" in command or "interactive" in command:
        added += " --num-workers 0"
    command = command.replace("--user-dir fairseq_ebm", f"--user-dir {CHECKOUT / 'fairseq_ebm'}")
    return command.replace("nproc_per_node 8", "nproc_per_node 2") + " " + added


def some_text(lines, seed):
    words = random.Random(seed)
    return [" ".join(words.choices(WORDS, k=60)) for _ in range(lines)]


@pytest.fixture
def here(tmp_path):
    """A folder with what a reader would have: texts, records, votes come as the commands go on."""
    for name in ("a", "b", "v", "t"):
        (tmp_path / f"{name}.txt").write_text("\n".join(some_text(80, name)) + "\n")
    names = ["real", "fake"]
    names += [f"{who}.{s}" for who in ("webtext", "small-117M-k40") for s in ("valid", "test")]
    for name in names:
        lines = (json.dumps({"text": text}) + "\n" for text in some_text(60, name))
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    shutil.copytree(CHECKOUT / "examples", tmp_path / "examples")
    return tmp_path


def what_people_bring(command, here):
    """Votes that raters send back; a run that is to be reported."""
    if "human-eval analyse" in command or "human-eval qualify" in command:
        (name,) = re.findall(r"\S+\.key\.json", command)
        key = json.loads((here / name).read_text())
        for rater in ("ann", "bob"):
            votes = [{"item": i["item"], "choice": i["answer"] or "a"} for i in key["items"]]
            ballot = {"format_version": 1, "page": key["page"], "rater": rater, "votes": votes}
            (here / f"{rater}.json").write_text(json.dumps(ballot))
    if "expert.pt" in command:
        for name in ("expert.pt", "amateur.pt"):
            shutil.copy(here / "lm" / "checkpoint_best.pt", here / name)
    if "fairseq-ebm report" in command:
        (here / "runs" / "demo").mkdir(parents=True)
        for name in ("out.json", "detection.json", "analysis.json", "weak.json"):
            shutil.copy(here / name, here / "runs" / "demo")


def test_every_command_is_there():
    told = " ".join(commands())
    ours = {name for name in PROGRAMS if "ebm" in name}
    assert ours <= set(told.split()) and len(list(commands())) > 20
    for above, lines in blocks():
        shown = [line for line in lines if re.match(r"[\w-]+ .*--\w", line)]
        assert all(map(is_command, shown)), (above, shown)


def test_the_commands_one_after_another(run_program, here):
    for command in commands():
        what_people_bring(command, here)
        words = shlex.split(smaller(command), posix=True)
        if words[:2] == ["fairseq-ebm", "explore"]:
            Server(*words[2:], "--cpu", cwd=here).end()
            continue
        if words[0] in PROGRAMS:
            done = run_program(*words, cwd=here)
        else:
            done = in_a_shell(smaller(command), here)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    for name in ("page.html", "runs/demo/report.html", "weak.attacks.svg", "neg-all/manifest.json"):
        assert (here / name).exists(), name


def in_a_shell(command, here):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=here,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
