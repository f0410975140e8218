"""The log of what was chosen: aggregated, kept over interruptions, cut back to a checkpoint."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_ebm.selection.log import Log, read_log

LABELS = (["a", "b"], np.array([0] * 6 + [1] * 4))


def run(log, updates):
    for update in updates:
        log.chosen(np.array([update % 10, 9]))
        log.scored(torch.tensor([0.0, 1.0, 2.0]), 1)
        log.mean("objective", float(update))
        with log.selecting(torch.device("cpu")):
            pass
        log.update(update)


def shown(path):
    """Without what depends on the clock."""
    timed = ("seconds", "selecting")
    return [{n: v for n, v in line.items() if n not in timed} for line in read_log(path)]


def test_lines_are_of_the_updates_since_the_line_before(tmp_path):
    log = Log(tmp_path / "log.jsonl", every=2, count=10, labels=LABELS)
    log.begin(0)
    run(log, range(1, 6))
    log.valid(5, {"valid": 2.5})
    first, second, valid = shown(tmp_path / "log.jsonl")
    assert first["update"] == 2 and first["chosen"] == 4 and first["distinct"] == 3
    assert first["share"] == {"a": 0.5, "b": 0.5} and first["objective"] == 1.5
    assert second["share"] == {"a": 0.5, "b": 0.5} and second["objective"] == 3.5
    assert second["distinct"] == 5
    weights = torch.softmax(torch.arange(3.0), dim=0)
    assert first["effective"] == pytest.approx(float(1 / weights.square().sum()), rel=1e-6)
    assert first["concentration"] == pytest.approx(
        float(weights[2] ** 2 / weights.square().sum()), rel=1e-6
    )
    assert valid == {"update": 5, "valid": {"valid": 2.5}}


def test_a_run_that_goes_on_writes_the_rest_anew(tmp_path):
    whole = Log(tmp_path / "whole.jsonl", every=2, count=10, labels=LABELS)
    whole.begin(0)
    run(whole, range(1, 10))
    first = Log(tmp_path / "parts.jsonl", every=2, count=10, labels=LABELS)
    first.begin(0)
    run(first, range(1, 6))
    state = first.state()
    run(first, range(6, 9))  # lost: after the checkpoint
    second = Log(tmp_path / "parts.jsonl", every=2, count=10, labels=LABELS)
    second.restore(state)
    second.begin(5)
    run(second, range(6, 10))
    assert shown(tmp_path / "parts.jsonl") == shown(tmp_path / "whole.jsonl")
    assert torch.equal(second.state()["seen"], whole.state()["seen"])


def test_a_new_run_begins_a_new_log(tmp_path):
    for _ in range(2):
        log = Log(tmp_path / "new/log.jsonl", every=1, count=10, labels=None)
        log.begin(0)
        run(log, range(1, 3))
        lines = shown(tmp_path / "new/log.jsonl")
        assert [line["update"] for line in lines] == [1, 2] and "share" not in lines[0]


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    """But they hold the same: whichever is the first after an interruption has it."""
    monkeypatch.chdir(tmp_path)
    first, other = (Log(path, every=1, count=10, labels=None) for path in (Path("log"), None))
    for log in (first, other):
        log.begin(0)
        run(log, range(1, 3))
        log.valid(2, {"valid": 1.0})
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert torch.equal(first.state()["seen"], other.state()["seen"])


def test_of_other_text_only_the_clock_goes_on(tmp_path):
    log = Log(tmp_path / "log", every=2, count=10, labels=None)
    run(log, range(1, 4))
    state = log.state()
    del state["seen"]
    after = Log(tmp_path / "after", every=2, count=7, labels=None)
    after.restore({**state, "seconds": 5.0})
    assert after.state()["seconds"] == 5.0
    assert not after.state()["seen"].any() and not after.state()["sums"]
