"""``fairseq-ebm selection-scores``: whole, killed, in shards; and what reads them."""

import json

import numpy as np
import pytest
import torch

from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.errors import UserError
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.directional import losses_by_example
from fairseq_ebm.selection.blocks import load_blocks
from fairseq_ebm.selection.scores import read_scores
from tests.selection.mixture import CUT, GENERIC, RIGHT

HERE = {"sample_break_mode": "eos", "shorten_method": "truncate", "tokens_per_sample": 64}


def score(run_program, data, dest, *flags, fails=False):
    done = run_program("fairseq-ebm selection-scores", data, "--dest", dest, *CUT, "--cpu", *flags)
    assert (done.returncode != 0) == fails, done.stderr
    return done


@pytest.fixture(scope="module")
def contrast(language_models):
    return ["--before", language_models[0], "--after", language_models[1]]


@pytest.fixture(scope="module")
def scores(run_program, mixture, contrast, tmp_path_factory):
    dest = tmp_path_factory.mktemp("scores") / "whole"
    return dest, score(run_program, mixture[0], dest, *contrast)


def test_by_how_much_losses_fall(mixture, language_models, scores):
    """In the order of the examples; the right source is where they fall most."""
    values = read_scores(scores[0], mixture[0], "train", HERE)
    blocks = load_blocks(mixture[0], "train", HERE)
    rows = [0, 77, 399]
    batch = blocks.collater([blocks[row] for row in rows])
    losses = [
        losses_by_example(load_base_lm(path, mixture[0], "fp32", torch.device("cpu")).model,
                          batch, 1).detach()
        for path in language_models
    ]  # fmt: skip
    torch.testing.assert_close(torch.from_numpy(values[rows]), losses[0] - losses[1],
                               rtol=1e-5, atol=1e-5)  # fmt: skip
    best = np.argsort(-values)[:RIGHT]
    assert (best >= GENERIC).mean() > 0.9
    record = json.loads((scores[0] / "scores.json").read_text())
    assert record["kind"] == "selection_scores" and record["examples"] == 400
    assert record["sources"]["right"]["share"] == 0.1
    assert record["sources"]["right"]["of_best"] > 0.9
    text = record["highest"][0]["text"]
    assert text == load_tokenizer(mixture[0]).decode(blocks[int(best[0])]["target"].numpy())
    assert text in (mixture[0].parent / "right.txt").read_text()
    assert "right" in scores[1].stdout and "highest" in scores[1].stdout


def test_shards_are_the_whole(run_program, mixture, contrast, scores, tmp_path):
    dest = tmp_path / "shards"
    merge = ["--merge", dest]
    for shard in (1, 0):
        flags = ["--num-shards", 2, "--shard-id", shard]
        score(run_program, mixture[0], dest, *contrast, *flags)
        if shard:
            done = run_program("fairseq-ebm selection-scores", mixture[0], *merge)
            assert done.returncode == 2 and "shard 0 of 2 is missing" in done.stderr
    other = run_program("fairseq-ebm selection-scores", mixture[1], *merge)
    assert other.returncode == 2 and "of other examples (tokens sha256" in other.stderr
    done = run_program("fairseq-ebm selection-scores", mixture[0], *merge)
    assert done.returncode == 0, done.stderr
    for name in ("scores.npy", "scores.json"):
        assert (dest / name).read_bytes() == (scores[0] / name).read_bytes()
    assert {path.name for path in dest.iterdir()} == {"scores.npy", "scores.json"}


def test_what_was_killed_goes_on(run_program, mixture, contrast, scores, tmp_path):
    """Only what is missing is scored; what was begun with other models is refused."""
    dest = tmp_path / "scores"
    score(run_program, mixture[0], dest, *contrast, "--num-shards", 2, "--shard-id", 0)
    for old in dest.iterdir():
        old.rename(dest / old.name.replace("0-of-2", "0-of-1"))
    part = np.load(dest / "scores.shard-0-of-1.npy")
    assert np.isnan(part).any() and not np.isnan(part).all()
    part[:64] = 7.0  # done before: not computed again
    np.save(dest / "scores.shard-0-of-1.npy", part)
    done = score(run_program, mixture[0], dest, *reversed_(contrast), fails=True)
    assert "begun with other text, models or cuts" in done.stderr
    score(run_program, mixture[0], dest, *contrast)
    values, whole = np.load(dest / "scores.npy"), np.load(scores[0] / "scores.npy")
    assert (values[:64] == 7.0).all()
    np.testing.assert_array_equal(values[64:], whole[64:])


def reversed_(flags):
    return ["--before", flags[3], "--after", flags[1]]


def test_by_a_weighting_network(run_program, mixture, selected, tmp_path):
    path = selected / "checkpoint_last.pt"
    score(run_program, mixture[0], tmp_path, "--weighting", path)
    values = read_scores(tmp_path, mixture[0], "train", HERE)
    assert values[GENERIC:].mean() > values[:GENERIC].mean() + 1


OTHER = [
    ({"tokens_per_sample": 32}, "tokens per sample 64, here 32"),
    ({"sample_break_mode": "none"}, "sample break mode eos, here none"),
]


@pytest.mark.parametrize(("change", "message"), OTHER)
def test_scores_of_other_examples_are_refused(mixture, scores, change, message):
    with pytest.raises(UserError, match=message):
        read_scores(scores[0], mixture[0], "train", {**HERE, **change})


def test_scores_of_other_text_are_refused(mixture, scores):
    with pytest.raises(UserError, match="split train, here valid"):
        read_scores(scores[0], mixture[0], "valid", HERE)
    with pytest.raises(UserError, match="tokens sha256"):
        read_scores(scores[0], mixture[1], "train", HERE)


BAD = [
    ([], "give --before and --after, or --energy, or --weighting"),
    (["--before", "a.pt"], "--before and --after: give both"),
    (["--energy", "no.pt"], "--energy: no.pt: no such file"),
    (["--before", "no.pt", "--after", "no.pt"], "--before: no.pt: no such file"),
]


@pytest.mark.parametrize(("flags", "message"), BAD)
def test_bad_input(run_program, mixture, tmp_path, flags, message):
    done = score(run_program, mixture[0], tmp_path / "scores", *flags, fails=True)
    assert message in done.stderr and done.returncode == 2


def test_a_model_that_has_no_network(run_program, mixture, language_models, tmp_path):
    flags = ["--weighting", language_models[0]]
    done = score(run_program, mixture[0], tmp_path / "scores", *flags, fails=True)
    assert "has no weighting network" in done.stderr


def test_examples_longer_than_the_model_reads(run_program, mixture, contrast, tmp_path):
    flags = ["--dest", tmp_path / "scores", "--sample-break-mode", "none", "--cpu", *contrast]
    done = run_program("fairseq-ebm selection-scores", mixture[0], *flags)
    assert done.returncode == 2 and "tokens, but the model reads 64" in done.stderr
