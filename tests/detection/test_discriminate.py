"""fairseq-ebm discriminate on small stores and on files of texts."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.stores import random_store, write_dictionary, write_store

NAMES = {
    "energy",
    "log_likelihood",
    "log_rank",
    "entropy",
    "lrr",
    "fast_detectgpt",
    "min_k",
    "min_k_plus_plus",
}
NAMES |= {"log_likelihood_whole"}
COLUMNS = {"scorer", "input", "accuracy", "accuracy_threshold", "p_at_1", "auroc"}
COLUMNS |= {"tpr_at_fpr_5", "tpr_at_fpr_1", "n_real", "n_fake", "by_prefix_length"}


@pytest.fixture(scope="module")
def store(run_program, sums, sums_lm, tmp_path_factory):
    neg = tmp_path_factory.mktemp("detected") / "neg of sums"
    flags = ["--window", 10, "--stride", 10, "--prefix-length", "4,6", "--num-negatives", 2]
    flags += ["--max-windows", 200, "--cpu", "--dest", neg]
    done = run_program("fairseq-ebm negatives", sums, "--path", sums_lm, *flags)
    assert done.returncode == 0, done.stderr
    return neg


@pytest.fixture(scope="module")
def discriminate(run_program, tmp_path_factory):
    def run(*flags, fails=False):
        out = tmp_path_factory.mktemp("report") / "a folder" / "out.json"
        done = run_program("fairseq-ebm discriminate", *flags, "--results-path", out, "--cpu")
        if fails:
            assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
            return done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(out.read_text()), done.stdout

    return run


def test_every_scorer_on_a_store(discriminate, store, sums_energy, sums_lm):
    flags = [store, "--path", sums_energy, "--lm", sums_lm]
    report, printed = discriminate(*flags)
    rows = {row["scorer"]: row for row in report["rows"]}
    assert set(rows) == NAMES
    for name, row in rows.items():
        assert set(row) >= COLUMNS and row["input"] == str(store) and name in printed
        assert (row["n_real"], row["n_fake"]) == (200, 400)
        assert [part["prefix_length"] for part in row["by_prefix_length"]] == [4, 6]
        assert 0.3 < row["accuracy"] < 1 and row["auroc_ci95"][0] < row["auroc_ci95"][1]
    assert rows["energy"]["natural_threshold"] == 0.0 != rows["energy"]["accuracy_threshold"]
    assert rows["entropy"]["natural_threshold"] is None
    assert set(report["provenance"]) >= {"energy", "language_model", "stores", "versions"}
    again, _ = discriminate(*flags)
    assert again["rows"] == report["rows"]


def test_the_picture(discriminate, store, sums_energy):
    report, printed = discriminate(store, "--path", sums_energy, "--draw")
    out, name = re.search(r"written: (.*), (.*)", printed).groups()
    drawn = Path(out).parent / name
    found = report["rows"][0]["differences"]
    assert drawn.name == "out.differences.svg"
    assert f"{found['above_zero']:.1%} above 0" in drawn.read_text()
    assert sum(found["counts"]) == report["rows"][0]["n_fake"]


def test_only_conditional_nce_draws_a_line_of_its_own(discriminate, store, sums_energy, tmp_path):
    state = torch.load(sums_energy, weights_only=True)
    state["cfg"]["criterion"]["_name"] = "ranking_nce"
    torch.save(state, tmp_path / "ranking.pt")
    report, _ = discriminate(store, "--path", tmp_path / "ranking.pt")
    assert report["rows"][0]["natural_threshold"] is report["rows"][0]["accuracy_natural"] is None


def test_texts_are_shown_by_their_energies(discriminate, store, sums_energy):
    report, printed = discriminate(store, "--path", sums_energy, "--show", 2)
    assert len(report["shown"]) == 2
    for window in report["shown"]:
        energies = [text["energy"] for text in window["texts"]]
        assert energies == sorted(energies) and len(energies) == 3
        assert [text["by"] for text in window["texts"]].count("real") == 1
        assert all(f"{energy:.2f}" in printed for energy in energies)
        assert f"after: {window['context']}" in printed


def test_a_ranking_loss_is_zero_beyond_its_margin(discriminate, store, sums_energy, tmp_path):
    state = torch.load(sums_energy, weights_only=True)
    state["cfg"]["criterion"].update(_name="energy_ranking", energy_margin=0.5)
    torch.save(state, tmp_path / "ranking.pt")
    report, _ = discriminate(store, "--path", tmp_path / "ranking.pt", "--draw")
    found = report["rows"][0]["differences"]
    assert found["margin"] == 0.5 and found["above_margin"] <= found["above_zero"]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Stores of which one has real and generated continuations of the test subset exchanged."""
    folder, generator = tmp_path_factory.mktemp("words"), np.random.default_rng(1)
    real = generator.integers(4, 34, (200, 16))
    generated = real.copy()
    generated[:, 8:] = 4 + (30 * generator.random((200, 8)) ** 1.5).astype(int)
    stores = folder / "as they are", folder / "exchanged"
    for neg, tests in zip(stores, ((real, generated), (generated, real))):
        write_store(neg, real, generated[:, None], 8, 30)
        write_store(neg, tests[0], tests[1][:, None], 8, 30, subsets=("test",))
    return stores


def test_the_test_subset_sets_no_threshold(discriminate, words):
    report, _ = discriminate(*words, "--tfidf")
    one, other = report["rows"]
    assert [one["input"], other["input"]] == list(map(str, words))
    for name in ("accuracy_threshold", "fpr_5_threshold", "fpr_1_threshold"):
        assert one[name] == other[name] is not None
    assert one["auroc"] == pytest.approx(1 - other["auroc"]) and one["auroc"] > 0.6


def test_words_of_another_store(discriminate, words):
    own, _ = discriminate(words[1], "--tfidf")
    others, _ = discriminate(words[1], "--tfidf-from", words[0])
    assert own["rows"] == others["rows"]  # their train and valid subsets are the same


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Right sums, and wrong ones of the lines of the gpt-2-output-dataset."""
    folder = tmp_path_factory.mktemp("texts of elsewhere")
    generator = np.random.default_rng(1)
    paths = []
    for name, wrong in (("real", 0), ("fake", 7), ("valid.real", 0), ("valid.fake", 7)):
        lines = []
        for number in range(40):
            a, b = generator.integers(0, 100, 2)
            text = f"{a:02}+{b:02}={(a + b + wrong) % 200:03}"
            text = " ".join(text * int(generator.integers(0, 5)))
            lines.append(json.dumps({"id": number, "ended": True, "length": 9, "text": text}))
        paths.append(folder / f"{name}.jsonl")
        paths[-1].write_text("\n".join(lines) + "\n")
    return paths


def test_whole_texts(discriminate, files, sums, sums_energy, sums_lm):
    real, fake, valid_real, valid_fake = files
    flags = ["--real", real, "--fake", fake, "--like", sums, "--path", sums_energy]
    report, printed = discriminate(*flags)
    (row,) = report["rows"]
    assert row["accuracy_threshold"] == 0.0 and row["tpr_at_fpr_5"] is None
    assert row["p_at_1"] is None and 20 < row["n_real"] < 40 and "empty" in printed
    flags += ["--valid-real", valid_real, "--valid-fake", valid_fake, "--lm", sums_lm]
    report, _ = discriminate(*flags, "--mean-of", "probability")
    rows = {row["scorer"]: row for row in report["rows"]}
    assert set(rows) == NAMES and all(row["tpr_at_fpr_5"] is not None for row in rows.values())
    assert 0 < rows["energy"]["accuracy_threshold"] < 1


def test_words_of_whole_texts(discriminate, tmp_path):
    """Generated texts prefer other words; a text is read from end to end."""
    write_dictionary(tmp_path / "data", 30)
    generator, paths = np.random.default_rng(1), {}
    for part in ("", "valid-", "train-"):
        for kind in ("real", "fake"):
            texts = []
            for length in generator.integers(5, 60, 150):
                draws = generator.random(length) ** (1.0 if kind == "real" else 1.4)
                texts.append(" ".join(f"w{int(30 * each)}" for each in draws))
            paths[f"--{part}{kind}"] = tmp_path / f"{part}{kind}.jsonl"
            lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
            paths[f"--{part}{kind}"].write_text(lines)
    flags = [each for pair in paths.items() for each in pair]
    report, _ = discriminate(*flags, "--like", tmp_path / "data", "--tfidf", "--window", 16)
    (row,) = report["rows"]
    assert (row["scorer"], row["n_real"], row["n_fake"]) == ("tfidf", 150, 150)
    assert 0.65 < row["accuracy"] < 0.95 and row["accuracy_threshold"] is not None
    assert set(report["provenance"]["files"]) == {each[2:].replace("-", "_") for each in paths}
    short, _ = discriminate(
        *flags, "--like", tmp_path / "data", "--tfidf", "--window", 16, "--skip-short"
    )
    assert short["rows"][0]["n_real"] < 150
    paths["--train-real"] = paths["--real"]
    flags = [each for pair in paths.items() for each in pair]
    told = discriminate(*flags, "--like", tmp_path / "data", "--tfidf", fails=True)
    assert "--train-real: texts to learn from are others than to judge" in told


def test_a_broken_line(discriminate, files, sums, sums_energy, tmp_path):
    broken = tmp_path / "broken.jsonl"
    lines = files[0].read_text().splitlines()
    broken.write_text("\n".join([*lines[:3], '{"text": "1 2', *lines[3:]]) + "\n")
    flags = ["--real", broken, "--fake", files[1], "--like", sums, "--path", sums_energy]
    assert f"{broken}: line 4 is not JSON" in discriminate(*flags, fails=True)
    report, printed = discriminate(*flags, "--skip-bad-lines")
    assert "1 bad line" in printed and report["rows"][0]["n_real"] > 20


def test_text_in_another_form(discriminate, files, sums, sums_energy, tmp_path):
    """Judged by all that a file begins with, not by a single text."""
    words = tmp_path / "words.jsonl"
    words.write_text('{"text": "some words"}\n' * 99 + files[0].read_text())
    flags = {"--real": files[0], "--fake": files[1]}
    flags |= {"--valid-real": files[2], "--valid-fake": files[3]}
    for flag in flags:
        line = [each for pair in {**flags, flag: words}.items() for each in pair]
        told = discriminate(*line, "--like", sums, "--path", sums_energy, fails=True)
        assert f"{flag}: {words}: the vocabulary" in told and "tokens are <unk>" in told
    words.write_text('{"text": "some words"}\n' + files[0].read_text())
    discriminate("--real", words, "--fake", files[1], "--like", sums, "--path", sums_energy)


def test_wrong_command_lines(discriminate, store, files, sums, sums_energy, sums_lm, tmp_path):
    real, fake = files[:2]
    for flags, words in (
        (["NEG", "--tfidf", "--tfidf-from", "NEG"], "--tfidf: --tfidf-from is given too"),
        ([], "give stores of negatives, or --real and --fake"),
        ([store], "no scorer"),
        (
            [store, "--real", real, "--fake", fake, "--path", sums_energy],
            "give stores of negatives, or",
        ),
        (
            ["--real", real, "--fake", fake, "--like", sums, "--lm", sums_lm, "--window", 5000],
            "--lm: ",
        ),
        (["--real", real, "--path", sums_energy], "--real and --fake: give both"),
        (["--real", real, "--fake", fake, "--path", sums_energy], "--like: needed"),
        (
            ["--real", real, "--fake", fake, "--like", sums, "--tfidf"],
            "--tfidf: with --real and --fake it learns from --train-real, --train-fake",
        ),
        (
            ["--real", real, "--fake", fake, "--like", sums, "--tfidf-from", store],
            "--tfidf-from: a store",
        ),
        (
            [
                *["--real", real, "--fake", fake, "--like", sums, "--path", sums_energy],
                *["--train-real", files[2], "--train-fake", files[3]],
            ],
            "--train-real: only --tfidf learns from it",
        ),
        ([store, "--path", sums_energy, "--gen-subset", "valid"], "--gen-subset valid: sets"),
        ([store, "--path", sums_lm], "not an energy"),
        ([store, "--lm", sums_energy], "not a"),
        ([tmp_path, "--path", sums_energy], "not a store of negatives"),
    ):
        assert words in discriminate(*flags, fails=True)
    other = random_store(tmp_path / "neg", subsets=("train", "valid"))
    words = discriminate(store, "--tfidf-from", other, fails=True)
    assert "--tfidf" in words and "another dictionary" in words
    assert "the subset test is not complete" in discriminate(
        other, "--path", sums_energy, fails=True
    )
