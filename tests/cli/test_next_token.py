import json

import pytest

FLAGS = ["--prefix", "1 2 + 3 4 =", "--cpu"]


@pytest.fixture(scope="module")
def next_token(run_program, sums, sums_lm, sums_energy):
    def run(*flags, fails=False):
        path = ["--path", f"{sums_lm}:{sums_energy}"]
        done = run_program("fairseq-ebm-next-token", sums, *path, *FLAGS, *flags)
        assert done.returncode == (2 if fails else 0), done.stderr
        return done

    return run


def test_a_table_and_all_candidates(next_token, tmp_path):
    out = tmp_path / "next.json"
    done = next_token("--num-samples", 50, "--top", 4, "--candidates", 9, "--results-path", out)
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["token", "base", "LM"] and len(lines) == 5
    for column in (1, 2):
        assert sum(float(line.split()[column]) for line in lines[1:]) == pytest.approx(1, abs=1e-3)
    record = json.loads(out.read_text())
    assert len(record["candidates"]) == 9 and record["num_samples"] == 50
    assert sum(row["joint"] for row in record["candidates"]) == pytest.approx(1)
    assert record["candidates"][0]["text"] == lines[1].split()[0].strip("'")
    assert set(record["provenance"]) >= {"language_model", "energy", "seed"}
    assert next_token("--num-samples", 50, "--quiet").stdout == ""


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--window", 6], "--prefix: 6 tokens fill the window of 6"),
        (["--window", 9999], "--window: 9999 tokens are more than"),
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
