"""Repetition and densities: by hand-made records, and through the program."""

import json
import math

import numpy as np
import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.joint.analyse import (
    Generation,
    JudgedText,
    densities,
    generation_of,
    nearer,
    unique_ngrams,
)
from fairseq_ebm.joint.pools import read_pools
from tests.conftest import CHECKOUT
from tests.joint.records import record


def generations_of(path):
    return [generation_of(each) for each in read_pools(path, with_real=True)]


def written(path, *records):
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def test_log_probabilities_under_both_models(tmp_path):
    path = written(tmp_path / "pools.jsonl", record(3, [4, 5], [6, 7], [8, 9], (0.5, 0.5)))
    (found,) = generations_of(path)
    assert (found.real.tokens, found.base.tokens, found.joint.tokens) == ([4, 5], [6, 7], [8, 9])
    assert (found.real.log_lm, found.base.log_lm) == (-12.0, -10.0)
    log_z = -0.5  # of equal energies, exactly
    assert found.real.log_joint == pytest.approx(-12.0 + 1.0 - log_z)
    assert found.joint.log_joint == pytest.approx(-10.0 - 0.5 - log_z)


def test_what_is_expected_by_the_whole_pool(tmp_path):
    energies = (0.5, 1.5)
    path = written(tmp_path / "pools.jsonl", record(3, [4, 5], [6, 7], [8, 9], energies))
    (found,) = generations_of(path)
    log_p = [json.loads(path.read_text())["pools"][0]["log_p"][i] for i in (0, 1)]
    weights = [math.exp(-e) for e in energies]
    log_z = -12.0 + 1.0 - found.real.log_joint  # whichever estimate it is
    joint = sum(w * (p - e - log_z) for w, p, e in zip(weights, log_p, energies)) / sum(weights)
    assert found.expected["base"] == pytest.approx(sum(log_p) / 2)
    assert found.expected["joint"] == pytest.approx(joint)


def test_an_infinite_energy(tmp_path):
    path = written(tmp_path / "pools.jsonl", record(1, [4], [5], [6], (math.inf, 0.0)))
    (found,) = generations_of(path)
    assert found.base.log_joint == -math.inf and found.base.log_lm == -10.0


def test_energies_keep_their_digits(tmp_path):
    path = written(tmp_path / "pools.jsonl", record(1, [4], [5], [6], (0.1, 0.1)))
    (found,) = generations_of(path)
    assert found.base.log_joint == pytest.approx(-10.0, abs=1e-12)  # log Z is -0.1


def test_a_truncated_pool_tells_no_z(tmp_path):
    path = written(tmp_path / "pools.jsonl", record(1, [4], [5], [6], truncated=True))
    (found,) = generations_of(path)
    assert found.truncated and found.joint.tokens == [6] and found.joint.log_lm == -10.0
    assert found.real.log_joint is found.base.log_joint is found.joint.log_joint is None


def test_what_cannot_be_compared():
    chunks = {**record(1, [4], [5], [6]), "pools": [{}, {}]}
    with pytest.raises(UserError, match="prompt 1: was continued in several chunks"):
        generation_of(chunks)
    with pytest.raises(UserError, match="prompt 2: what really follows has another length"):
        generation_of(record(2, [4, 5, 6], [5], [6]))


def test_a_model_of_the_data_has_no_difference():
    """Base: own text 5 nats likelier than real text. Joint: the same distribution."""
    generator = np.random.default_rng(0)
    values = generator.normal(-50, 3, size=(4, 2000))
    generations = [
        Generation(
            JudgedText([1], base, joint),
            JudgedText([1], base_own, 0.0),
            JudgedText([1], 0.0, joint_own),
            False,
            {"base": base_own, "joint": joint_own},
        )
        for base, joint, base_own, joint_own in zip(values[0], values[1], values[2] + 5, values[3])
    ]
    found = densities(generations)
    assert found["base"]["difference"] == pytest.approx(5, abs=0.3)
    error = found["joint"]["standard_error"]
    assert error == pytest.approx(np.sqrt(18 / 2000), rel=0.1)
    assert abs(found["joint"]["difference"]) < 4 * error
    assert found["base"]["samples"] == pytest.approx((values[2] + 5).tolist())
    assert densities(generations[:1])["base"]["standard_error"] is None


def text(tokens):
    return JudgedText(tokens, -1.0, -1.0)


def test_each_kind_is_counted_over_all_prompts():
    generations = [
        Generation(text([1, 2, 3]), text([1, 1, 1]), text([1, 2, 1]), truncated=False),
        Generation(text([4, 5, 6]), text([1, 1, 1]), text([1, 2, 3]), truncated=True),
    ]
    two, three = unique_ngrams(generations, (2, 3))
    assert two == {"n": 2, "real": 1.0, "base": 1 / 4, "joint": 3 / 4}
    assert three == {"n": 3, "real": 1.0, "base": 1 / 2, "joint": 1.0}


def test_collections_are_of_each_models_own_text(tmp_path):
    """Of four proposals, of which the joint model would write the last three times in four."""
    tokens = [[1, 1], [2, 2], [3, 3], [4, 4]]
    energies = [math.log(9), math.log(9), math.log(9), 0.0]  # weights 1, 1, 1, 9 of 12
    pool = {"tokens": tokens, "energies": energies, "log_p": [-1.0] * 4}
    path = written(tmp_path / "pools.jsonl", {**record(1, [5, 6], [1, 1], [4, 4]), "pools": [pool]})
    (found,) = generations_of(path)
    assert found.texts("base") == tokens and found.texts("real") == [[5, 6]]
    assert found.texts("joint") == [[2, 2], [4, 4], [4, 4], [4, 4]]


def test_how_much_nearer_to_real_text_the_joint_model_is():
    """Log P: the base's own text is 5 nats likelier than real text, the joint model's 2 nats less
    likely. Tokens: real and joint text never repeat a pair, half of the base's are one pair."""
    noise = np.random.default_rng(0).normal(0, 1, size=(4, 400))
    generations = [
        Generation(
            JudgedText([i, i + 1, 1000 + i], -50 + noise[0, i], -40 + noise[1, i]),
            JudgedText([7, 8, i], -45, 0.0),
            JudgedText([2000 + i, i, 3000 + i], 0.0, -42),
            False,
            {"base": -45 + noise[2, i], "joint": -42 + noise[3, i]},
        )
        for i in range(400)
    ]
    pairs, log_p = nearer(generations, (2,))
    base = 401 / 800
    assert (pairs["of"], log_p["of"]) == ("2-grams", "log P")
    assert (pairs["base"], pairs["joint"]) == (pytest.approx(1 - base, abs=0.01), 0.0)
    assert pairs["gap_ci95"][0] <= pairs["gap"] <= pairs["gap_ci95"][1]
    assert log_p["gap"] == pytest.approx(3, abs=0.3)
    low, high = log_p["gap_ci95"]
    assert (high - low) / (2 * 1.96) == pytest.approx(2 / np.sqrt(400), rel=0.15)

    assert nearer(generations[:1], (2,))[0]["gap_ci95"] is None, "one prompt tells no spread"


@pytest.fixture(scope="module")
def generated(run_program, sums, sums_lm, sums_energy, tmp_path_factory):
    """Two shards by fairseq-generate itself."""
    folder = tmp_path_factory.mktemp("to analyse")
    for shard in (0, 1):
        flags = ["--user-dir", CHECKOUT / "fairseq_ebm", "--task", "residual_ebm_lm", "--cpu"]
        flags += ["--path", f"{sums_lm}:{sums_energy}", "--sampling", "--beam", 1, "--nbest", 1]
        flags += ["--window", 10, "--stride", 10, "--prefix-size", 6, "--max-windows", 30]
        flags += ["--joint-samples", 20, "--num-workers", 0, "--num-shards", 2]
        flags += ["--shard-id", shard, "--joint-results-path", folder / f"{shard}.jsonl"]
        done = run_program("fairseq-generate", sums, *flags)
        assert done.returncode == 0, done.stderr
    return folder


def test_a_report_and_its_pictures(run_program, generated, tmp_path):
    out = tmp_path / "out.json"
    pools = [generated / "0.jsonl", generated / "1.jsonl"]
    done = run_program("fairseq-ebm analyse", *pools, "--results-path", out, "--draw")
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert report["num_prompts"] == 30 and [row["n"] for row in report["unique_ngrams"]] == [
        2,
        3,
        4,
    ]
    assert len(report["densities"]["joint"]["real"]) == 30
    assert "distinct n-grams, of all, in 30 continuations each" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        "out.json", "out.ngrams.svg", "out.densities.svg"
    }  # fmt: skip


def test_truncated_proposals(run_program, tmp_path):
    """n-grams need no Z; only densities are left out."""
    pools, out = tmp_path / "top.jsonl", tmp_path / "out.json"
    pool, energies = ([7, 8, 7], [4, 4, 4]), (6.0, -6.0)
    records = [record(i, [4, 5, 6], *pool, energies, truncated=i > 1) for i in (1, 2)]
    pools.write_text("".join(json.dumps(each) + "\n" for each in records))
    done = run_program("fairseq-ebm analyse", pools, "--results-path", out, "--draw")
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert report["densities"] is None and report["num_prompts"] == 2
    assert report["unique_ngrams"][0] == {"n": 2, "real": 0.5, "base": 0.375, "joint": 0.25}
    assert done.stdout.count("no densities: proposals were truncated") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"top.jsonl", "out.json", "out.ngrams.svg"}


def test_bad_input(run_program, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "top.jsonl").write_text(json.dumps({**record(1, [4], [5], [6]), "pools": []}))
    for flags, words in (
        ([tmp_path / "empty.jsonl"], "there is nothing in it"),
        ([tmp_path / "top.jsonl"], "line 1: not a prompt, its pools"),
        ([tmp_path / "none.jsonl"], "none.jsonl: No such file"),
        ([tmp_path / "top.jsonl", "--draw"], "--results-path: needed with --draw"),
    ):
        done = run_program("fairseq-ebm analyse", *flags)
        assert done.returncode == 2 and words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
