import json
import re

import pytest

FLAGS = ["--prefix", "1 2 + 3 4 =", "--cpu"]


@pytest.fixture(scope="module")
def next_token(run_program, sums, sums_lm, sums_energy):
    def run(*flags, fails=False):
        path = ["--path", f"{sums_lm}:{sums_energy}"]
        done = run_program("fairseq-ebm next-token", sums, *path, *FLAGS, *flags)
        assert done.returncode == (2 if fails else 0), done.stderr
        return done

    return run


def test_a_table_and_all_candidates(next_token, tmp_path):
    out = tmp_path / "next.json"
    done = next_token("--num-samples", 50, "--top", 4, "--candidates", 9, "--results-path", out)
    _, rule, *lines, note, _, written = done.stdout.splitlines()
    assert set(rule) == {"-", " "} and written == f"written: {out}" and len(lines) == 4
    assert "The likeliest 4 of each model" in note
    cells = [re.split(" {2,}", line) for line in lines]
    for column in (1, 3):  # percent, each model's own top
        assert sum(float(row[column][:-1]) for row in cells) == pytest.approx(100, abs=0.25)
    record = json.loads(out.read_text())
    assert len(record["candidates"]) == 9 and record["num_samples"] == 50
    assert sum(row["joint"] for row in record["candidates"]) == pytest.approx(1)
    assert record["candidates"][0]["text"] == cells[0][2].strip("'")
    likeliest = max(record["candidates"], key=lambda row: row["lm"])
    assert likeliest["text"] == cells[0][0].strip("'")
    for row in record["candidates"]:
        low, high = row["sampling_ci95"]
        assert low < row["joint"] < high and row["log_z_error"] > 0
    assert set(record["provenance"]) >= {"language_model", "energy", "seed"}
    assert next_token("--num-samples", 50, "--quiet").stdout == ""


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--window", 6], "--prefix: 6 tokens fill the --window of 6"),
        (["--window", 9999], "--window: windows of 9999 tokens, but"),
        (["--candidates", 1], "'1' is not a whole number from 2"),
        (["--prefix", "The function 1"], "--prefix: the vocabulary of the data does not know"),
        (["--path", "nowhere.pt"], "nowhere.pt: no such file"),
    ],
)
def test_bad_input(next_token, flags, words):
    error = next_token(*flags, fails=True).stderr
    assert words in error and len(error.strip().splitlines()) == 1


def test_a_language_model_alone(next_token, sums_lm):
    assert "--path: no energy" in next_token("--path", sums_lm, fails=True).stderr
