import json

import pytest

from tests.conftest import CHECKOUT
from tests.joint.records import record


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
    done = run_program("fairseq-ebm-analyse", *pools, "--results-path", out, "--draw")
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert report["num_prompts"] == 30 and [row["n"] for row in report["unique_ngrams"]] == [
        2,
        3,
        4,
    ]
    assert len(report["densities"]["joint"]["real"]) == 30
    assert "distinct n-grams" in done.stdout and "30 prompts" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        "out.json", "out.ngrams.svg", "out.densities.svg"
    }  # fmt: skip


def test_truncated_proposals(run_program, tmp_path):
    """n-grams need no Z; only densities are left out."""
    pools, out = tmp_path / "top.jsonl", tmp_path / "out.json"
    records = [record(i, [4, 5, 6], [7, 8, 7], [4, 4, 4], truncated=i > 1) for i in (1, 2)]
    pools.write_text("".join(json.dumps(each) + "\n" for each in records))
    done = run_program("fairseq-ebm-analyse", pools, "--results-path", out, "--draw")
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert report["densities"] is None and report["num_prompts"] == 2
    assert report["unique_ngrams"][0] == {"n": 2, "real": 0.5, "base": 0.5, "joint": 0.25}
    assert done.stdout.count("no densities: proposals were truncated") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"top.jsonl", "out.json", "out.ngrams.svg"}


def test_bad_input(run_program, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "top.jsonl").write_text(json.dumps({**record(1, [4], [5], [6]), "pools": []}))
    for flags, words in (
        ([tmp_path / "empty.jsonl"], "there is nothing in it"),
        ([tmp_path / "top.jsonl"], "line 1: not a prompt with its pool"),
        ([tmp_path / "none.jsonl"], "none.jsonl: no such file"),
        ([tmp_path / "top.jsonl", "--draw"], "--results-path: needed with --draw"),
    ):
        done = run_program("fairseq-ebm-analyse", *flags)
        assert done.returncode == 2 and words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
