"""``fairseq-ebm selection-filter``: the best part of a text, as text."""

import json

import numpy as np
import pytest

from fairseq_ebm.data.identity import token_hash
from fairseq_ebm.selection.blocks import load_blocks
from fairseq_ebm.selection.scores import read_scores
from tests.selection.mixture import CUT, GENERIC
from tests.selection.test_scores import HERE


def score(run_program, mixture, selected, dest, *cut):
    flags = ["--weighting", selected / "checkpoint_last.pt", "--dest", dest, *cut, "--cpu"]
    done = run_program("fairseq-ebm selection-scores", mixture[0], *flags)
    assert done.returncode == 0, done.stderr
    return dest


@pytest.fixture(scope="module")
def scores(run_program, mixture, selected, tmp_path_factory):
    dest = tmp_path_factory.mktemp("scores") / "scores"
    return score(run_program, mixture, selected, dest, *CUT)


def keep(run_program, mixture, scores, dest, *flags):
    flags = ["--scores", scores, "--dest", dest, *flags]
    return run_program("fairseq-ebm selection-filter", mixture[0], *flags)


def test_the_highest_are_kept_as_they_are(run_program, mixture, scores, tmp_path):
    done = keep(run_program, mixture, scores, tmp_path / "best", "--keep", "10%")
    assert done.returncode == 0, done.stderr
    assert "kept 40 of 400" in done.stdout and "right" in done.stdout
    values = read_scores(scores, mixture[0], "train", HERE)
    rows = sorted(np.argsort(-values, kind="stable")[:40].tolist())
    before, after = (load_blocks(d, "train", HERE) for d in (mixture[0], tmp_path / "best"))
    assert [after[i]["target"].tolist() for i in range(len(after))] == [
        before[row]["target"].tolist() for row in rows
    ]
    assert token_hash(tmp_path / "best", "valid") == token_hash(mixture[0], "valid")
    record = json.loads((tmp_path / "best/prepare.json").read_text())
    assert record["splits"]["train"]["documents"] == 40
    assert record["splits"]["train"]["tokens"] == sum(len(before[r]["target"]) for r in rows)
    told = json.loads((tmp_path / "best/filter.json").read_text())
    assert told["share"]["right"] == pytest.approx(np.mean([row >= GENERIC for row in rows]))
    again = keep(run_program, mixture, scores, tmp_path / "best", "--keep", "10%")
    assert again.returncode == 2 and "exists and holds something" in again.stderr


def test_all_is_the_text_itself(run_program, mixture, selected, tmp_path):
    """Where documents are examples, tokens, counts and hashes are those of the generic text."""
    whole = ["--sample-break-mode", "eos", "--tokens-per-sample", 512]
    scores = score(run_program, mixture, selected, tmp_path / "scores", *whole)
    done = keep(run_program, mixture, scores, tmp_path / "all", "--keep", "100%")
    assert done.returncode == 0, done.stderr
    assert token_hash(tmp_path / "all", "train") == token_hash(mixture[0], "train")
    before, after = (
        json.loads((folder / "prepare.json").read_text())["splits"]["train"]
        for folder in (mixture[0], tmp_path / "all")
    )
    before.pop("sources"), after.pop("sources")
    assert after == before


def test_drawn_ones_follow_the_scores(run_program, mixture, scores, tmp_path):
    flags = ["--keep", 0.25, "--how", "drawn", "--seed", 3]
    for name in ("one", "two"):
        assert keep(run_program, mixture, scores, tmp_path / name, *flags).returncode == 0
    one, two = (token_hash(tmp_path / name, "train") for name in ("one", "two"))
    assert one == two
    told = json.loads((tmp_path / "one/filter.json").read_text())
    assert told["kept"] == 100 and told["share"]["right"] > 0.15


def test_text_of_others(run_program, mixture, scores, tmp_path):
    done = keep(run_program, (mixture[1],), scores, tmp_path / "x", "--keep", "10%")
    assert done.returncode == 2 and "--scores" in done.stderr
    done = keep(run_program, mixture, tmp_path / "none", tmp_path / "x", "--keep", "10%")
    assert done.returncode == 2 and "no scores there" in done.stderr
