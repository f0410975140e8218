"""The page's numbers are those of the programs and of Python, to the last digit shown."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_ebm import JointModel
from fairseq_ebm.detection.metrics import Scores
from fairseq_ebm.errors import OptionError, UserError
from fairseq_ebm.explore.calibration import AtLength
from fairseq_ebm.explore.judge import judge
from fairseq_ebm.explore.likely import likely, next_token
from fairseq_ebm.explore.options import Judge, Likely, Next, Write
from fairseq_ebm.explore.write import write
from fairseq_ebm.lm.scoring import next_log_probs

PROMPT, TEXT = "1 2 + 3 4 =", "1 2 + 3 4 = 0 4 6"


@pytest.fixture(scope="module")
def model(flags):
    return JointModel.from_pretrained(*flags["path"].split(":"), flags["data"], device="cpu")


def by_event(steps):
    found = {}
    for step in steps:
        found.setdefault(step["event"], []).append(step)
    return found


def test_what_it_writes_is_what_the_command_that_it_shows_writes(subject):
    asked = Write(prompt=PROMPT, proposals=100, draws=3, length=3, seed=5)
    found = by_event(write(subject, asked))
    (begin,), (end,) = found["begin"], found["end"]
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", begin["command"]], env=environment, text=True, capture_output=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    theirs = [line.split("\t")[1:] for line in done.stdout.splitlines() if line[:3] == "E-0"]
    texts = [line.split("\t")[2] for line in done.stdout.splitlines() if line[:3] == "D-0"]
    proposals = [each for part in found["proposals"] for each in part["proposals"]]
    assert len(proposals) == 100 and len(found["proposals"]) > 2
    ours, written = [], []
    for draw in end["draws"]:
        of = proposals[draw["index"]]
        figures = f"{of['energy']:.4f}\t{of['log_p']:.4f}\t{draw['share']:.4g}\t{end['ess']:.1f}"
        ours.append(figures.split("\t"))
        written.append(f"{PROMPT} {of['text'].strip()}")
    assert ours == theirs
    assert [" ".join(text.split()) for text in written] == texts
    energies = torch.tensor([each["energy"] for each in proposals], dtype=torch.float64)
    shares = torch.softmax(-energies, dim=0)
    assert end["shares"] == pytest.approx(shares.tolist())


def test_the_language_model_alone(subject, run_program, sums, sums_lm, tmp_path):
    asked = Write(prompt=PROMPT, proposals=4, draws=2, length=4, seed=3)
    (base,) = by_event(write(subject, asked))["base"]
    (tmp_path / "prompt").write_text(f"{PROMPT}\n")
    flags = ["--path", sums_lm, "--generation-length", 4, "--window", 10, "--sampling", "--cpu"]
    flags += ["--beam", 2, "--nbest", 2, "--seed", 3, "--input", tmp_path / "prompt"]
    flags += ["--task", "residual_ebm_lm", "--user-dir", Path(__file__).parents[2] / "fairseq_ebm"]
    done = run_program("fairseq-interactive", sums, *flags)
    assert done.returncode == 0, done.stderr
    texts = [line.split("\t")[2] for line in done.stdout.splitlines() if line[:3] == "D-0"]
    ours = [" ".join(f"{PROMPT} {text}".split()) for text in base["texts"]]
    assert ours == texts


def test_a_prompt_of_several_lines_has_no_command(subject):
    begin, *_ = write(subject, Write(prompt=f"{TEXT}\n{PROMPT}", proposals=2, draws=1, length=2))
    assert begin["command"] is None
    for prompt in (f"{PROMPT} ", f" {PROMPT}", f"{PROMPT}\0"):
        asked = Write(prompt=prompt, proposals=2, draws=1, length=2)
        assert next(write(subject, asked))["command"] is None
    assert begin["prompt_tokens"] == 16 and begin["context_tokens"] == 8


def test_what_cannot_be_written(subject):
    with pytest.raises(OptionError, match="top_k: 500 is above the vocabulary"):
        list(write(subject, Write(prompt=PROMPT, top_k=500)))
    with pytest.raises(UserError, match="New tokens: behind a prompt 9 are the most"):
        list(write(subject, Write(prompt=PROMPT, length=10)))
    with pytest.raises(UserError, match="3 draws from 2 proposals"):
        list(write(subject, Write(prompt=PROMPT, proposals=2, draws=3)))
    with pytest.raises(UserError, match="Prompt: the vocabulary of the data does not know"):
        list(write(subject, Write(prompt="words it never saw")))


def test_how_likely_is_that_of_python(subject, model):
    asked = Likely(prefix=PROMPT, continuation="0 4 6", samples=100, seed=4)
    found = by_event(likely(subject, asked))
    theirs = model.bounds(PROMPT, "0 4 6", num_samples=100, seed=4)
    (tokens,), (end,) = found["tokens"], found["end"]
    assert tokens["prefix_tokens"] == 6 and len(tokens["tokens"]) == 9
    assert "".join(t["text"] for t in tokens["tokens"]).replace(" ", "") == TEXT.replace(" ", "")
    own = sum(token["log_p"] for token in tokens["tokens"][6:])
    assert own == pytest.approx(theirs.log_p_lm) == tokens["log_p_lm"]
    for name in ("energy", "log_z", "log_z_error", "base_ppl", "joint_ppl", "ess"):
        assert end[name] == pytest.approx(getattr(theirs, name), rel=1e-6)
    assert end["joint_ppl_ci95"] == pytest.approx(theirs.joint_ppl_sampling_ci95, rel=1e-6)
    assert [each["done"] for each in found["bounds"]] == [32, 64, 96, 100]


def test_what_is_no_continuation(subject):
    with pytest.raises(UserError, match="Continuation: there is nothing in it"):
        list(likely(subject, Likely(prefix=PROMPT, continuation=" ")))
    with pytest.raises(UserError, match="tokens; the models read"):
        list(likely(subject, Likely(continuation="1 " * 2000)))


def test_the_next_token_is_that_of_the_program(subject, run_program, flags, tmp_path):
    asked = Next(prefix=PROMPT, continuation="0 4 6", position=7, candidates=12, samples=40, seed=2)
    found = by_event(next_token(subject, asked))
    (end,) = found["end"]
    out = tmp_path / "next.json"
    words = ["--prefix", f"{PROMPT} 0", "--candidates", 12, "--num-samples", 40, "--seed", 2]
    words += ["--path", flags["path"], "--cpu", "--results-path", out]
    done = run_program("fairseq-ebm next-token", flags["data"], *words)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(out.read_text())["candidates"]
    assert [row["text"] for row in end["rows"]] == [row["text"] for row in theirs]
    for ours, row in zip(end["rows"], theirs):
        assert (ours["lm"], ours["joint"]) == pytest.approx((row["lm"], row["joint"]), rel=1e-6)
        assert ours["p"] == pytest.approx(math.exp(row["log_lm"]), rel=1e-6)
        assert ours["joint_ci95"] == pytest.approx(row["sampling_ci95"], rel=1e-6)
    assert end["actual"] == "4" and [r["text"] for r in end["rows"] if r["is_actual"]] == ["4"]
    assert len(found["candidates"]) == 12
    with pytest.raises(UserError, match="the models see 10 at once; choose an earlier one"):
        list(next_token(subject, Next(prefix="1 " * 12)))


def test_an_energy_is_that_of_python_and_so_is_what_changes(subject, model):
    found = by_event(judge(subject, Judge(text=TEXT)))
    (begin,) = found["begin"]
    (energy,) = model.energy([TEXT])
    assert begin["energy"] == pytest.approx(energy, abs=1e-6)
    symbols = TEXT.split()
    rows = [row for part in found["changes"] for row in zip(part["changes"], part["others"])]
    assert len(rows) == len(symbols)
    lm, dictionary = subject.models.lm.model, subject.tokenizer.dictionary
    for place, (change, other) in enumerate(rows):
        changed = [*symbols[:place], other, *symbols[place + 1 :]]
        before = subject.tokens(" ".join(symbols[:place]), "Text")
        log_probs = next_log_probs(lm, before[None])[0].clone()
        log_probs[dictionary.index(symbols[place])] = -torch.inf
        assert dictionary.index(other) == int(log_probs.argmax()) or other == "\n"
        if other != "\n":
            (after,) = model.energy([" ".join(changed)])
            assert change == pytest.approx(after - energy, abs=1e-5)
    ranks = [token["rank"] for token in begin["tokens"]]
    first = next_log_probs(lm, torch.empty(1, 0, dtype=torch.long))[0]
    own = first[dictionary.index(symbols[0])]
    assert ranks[0] == 1 + int((first > own).sum()) and min(ranks) >= 1


def test_the_verdict_counts_windows_of_the_store(subject):
    (verdict,) = by_event(judge(subject, Judge(text=f"{TEXT}\n")))["verdict"]
    assert verdict["num_real"] == 60 == sum(verdict["real"]) == sum(verdict["generated"])
    real = subject.calibration.shown.real
    energies = subject.joint.energies(real.unsqueeze(1), 0)[:, 0].numpy()
    text = subject.tokens(f"{TEXT}\n", "Text")
    own = float(subject.joint.energies(text.view(1, 1, -1), 0))
    assert verdict["false_alarms"] == int((energies >= own).sum())
    assert np.histogram(energies, verdict["edges"])[0].tolist() == verdict["real"]
    generated = subject.joint.energies(subject.calibration.shown.generated.unsqueeze(1), 0)[:, 0]
    assert verdict["missed"] == int((generated.numpy() < own).sum())
    line = verdict["threshold"]
    right = [(energies < line).mean(), (generated.numpy() >= line).mean()]
    assert verdict["accuracy"] == pytest.approx(np.mean(right)) and verdict["accuracy"] > 0.5
    assert verdict["looks"] == ("generated" if own >= line else "real")


def known_at(subject, length):
    steps = subject.calibration.at(length)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def test_the_verdict_turns_where_both_are_as_probable(subject):
    known = known_at(subject, 10)
    values = [known.probability(energy) for energy in (-100.0, known.threshold, 100.0)]
    assert values[0] < 0.01 and values[2] > 0.99
    assert values[1] == pytest.approx(0.5)
    for energy in (-1.0, known.threshold - 1e-6, known.threshold + 1e-6, 3.0):
        assert (known.looks(energy) == "generated") == (known.probability(energy) >= 0.5)
    assert list(subject.calibration.at(10)) == []  # known by now


def test_energies_that_tell_nothing():
    """Generated text has lower ones: there is no line, and no verdict."""
    real, generated = np.arange(1.0, 9.0), -np.arange(1.0, 9.0)
    scores = Scores(real, generated)
    known = AtLength(scores, scores, np.ones(8))
    record = known.record(0.0)
    assert record["threshold"] is record["probability"] is record["looks"] is None
    assert record["accuracy"] is None and sum(record["real"]) == 8


def test_edits_and_attacks_move_the_energy(subject):
    found = by_event(judge(subject, Judge(text=TEXT, share=50)))
    (edits,) = found["edits"]
    assert edits["towards"] in ("real", "generated") and len(edits["rows"]) == 3
    energies = [found["begin"][0]["energy"], *(row["energy"] for row in edits["rows"])]
    falls = edits["towards"] == "real"
    assert all((b < a) == falls for a, b in zip(energies, energies[1:]))
    attacks = {each["name"]: each for each in found["attack"]}
    assert attacks["homoglyphs"]["is_same"] and not attacks["other digits"]["is_same"]
    assert attacks["homoglyphs"]["energy"] == pytest.approx(energies[0])
    for each in attacks.values():  # is_same or not, all are as long: by one line
        known = known_at(subject, 9)
        assert each["probability"] == pytest.approx(known.probability(each["energy"]))


def test_attacks_are_on_what_is_judged(subject):
    """What stands behind the window plays no part."""
    text = "+ + = + = + = + = + " + "1 2 3 4 5 6 " * 5
    attacks = {e["name"]: e for e in judge(subject, Judge(text=text)) if e["event"] == "attack"}
    assert attacks["other digits"]["is_same"]


@pytest.mark.parametrize("text", ["1", "1 2", "\n", "="])
def test_the_shortest_texts(subject, text):
    events = [each["event"] for each in judge(subject, Judge(text=text))]
    assert events[-1] == "end" and events.count("attack") == 6


WARNED = [
    ("1 2 + 3", "Too short to judge: the first 6 tokens"),
    (TEXT, "9 tokens are few: the energy was trained on 10"),
    (f"{TEXT}\n{TEXT}", "Only the first 10 of 19 tokens are judged"),
    ("+ + + = = = + + = =", "unlike the text that the models know"),
    ("1 2 + 3 4 = 0 4 what ?", "20% of the tokens are unknown to the vocabulary"),
]


@pytest.mark.parametrize(("text", "message"), WARNED)
def test_texts_that_are_warned_of(subject, text, message):
    (verdict,) = by_event(judge(subject, Judge(text=text)))["verdict"]
    assert any(message in each for each in verdict["warnings"]), verdict["warnings"]


def test_a_text_of_the_right_kind_is_not_warned_of(subject):
    (verdict,) = by_event(judge(subject, Judge(text=f"{TEXT}\n")))["verdict"]
    assert verdict["warnings"] == []
