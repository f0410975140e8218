"""fairseq-ebm weaknesses on small stores."""

import json

import pytest

from fairseq_ebm.files import sha256_of
from fairseq_ebm.weaknesses.attacks import ATTACKS, RANDOM


def store(run_program, folder, sums, lm, *more):
    flags = ["--window", 10, "--stride", 10, "--prefix-length", "4,6", "--num-negatives", 2]
    flags += ["--subsets", "valid,test", "--max-windows", 100, "--cpu", "--dest", folder, *more]
    done = run_program("fairseq-ebm negatives", sums, "--path", lm, *flags)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def neg(run_program, sums, sums_lm, tmp_path_factory):
    return store(run_program, tmp_path_factory.mktemp("weak") / "neg of sums", sums, sums_lm)


@pytest.fixture(scope="module")
def weaknesses(run_program, tmp_path_factory):
    def run(*flags):
        out = tmp_path_factory.mktemp("report") / "a folder" / "out.json"
        flags = [*flags, "--results-path", out, "--cpu", "--max-windows", 30]
        done = run_program("fairseq-ebm weaknesses", *flags)
        assert done.returncode == 0, done.stderr
        return json.loads(out.read_text()), done.stdout, out

    return run


def test_a_report_and_its_pictures(weaknesses, neg, sums_energy, sums_lm):
    flags = [neg, "--path", sums_energy, "--lm", sums_lm, "--positions", 4]
    report, printed, out = weaknesses(*flags, "--edits", 3, "--top-edits", 5, "--draw")
    assert report["num_windows"] == 30 and report["threshold"]["from"] == "valid"

    section = report["perturbations"]
    assert set(section["put_in"]) == {"common"}  # digits are no entities
    assert section["unit"] == "token" and section["num_windows"] == 30
    assert set(section["baseline"]) == {"energy", "nll"}
    places = [(row["perturbation"], row["position"]) for row in section["rows"]]
    assert places == [(n, p) for p in (1, 4, 7, 10) for n in ("common", "swap")]
    for row in section["rows"]:
        before = section["baseline"]["nll"]["mean"]
        assert row["nll"]["mean"] - before == pytest.approx(row["nll_change"]["mean"])

    for kind, direction in (("real", 1), ("generated", -1)):
        part = report["token_edits"][kind]
        assert part["num_texts"] == 30 and part["edits_checked"] == 150
        assert [row["edits"] for row in part["by_edits"]] == [0, 1, 2, 3]
        first, last = part["by_edits"][0], part["by_edits"][-1]
        assert direction * (last["energy"]["mean"] - first["energy"]["mean"]) > 0
        single = part["single_edits"]
        assert single["num_edits"] == 90 and direction * single["energy_change"]["mean"] > 0
        sizes = {name: len(points["lm_ppl"]) for name, points in single["points"].items()}
        assert sizes == {"as it is": 30, "one edit": 90, "all edits": 30}
        assert part["sign_agreement"] > 0.5 and first["lm_ppl"] > 1
        assert len(part["examples"]) == 5 and len(part["examples"][0]["text"].split()) >= 9
        for example in part["examples"]:
            assert all(edit["position"] > 4 for edit in example["edits"])

    assert [row["attack"] for row in report["attacks"]] == [
        "none",
        "encoded again",
        RANDOM,
        *ATTACKS,
    ]
    rows = {row["attack"]: row for row in report["attacks"]}
    assert rows["encoded again"]["energy"] == rows["none"]["energy"]
    assert rows["other digits"]["changed"] > 0.5 and rows["homoglyphs"]["changed"] == 0.0

    visible = [(row["visible_tokens"], row["num_windows"]) for row in report["visible_tokens"]]
    assert [length for length, _ in visible] == [5, 6]
    assert 0 < visible[0][1] < 30  # some windows have only four generated tokens

    made_by = report["provenance"]
    assert made_by["energy"]["sha256"] == sha256_of(sums_energy)
    assert made_by["language_model"]["sha256"] == sha256_of(sums_lm)
    assert made_by["negatives"]["manifest"] == sha256_of(neg / "manifest.json")
    assert made_by["options"]["edits"] == 3 and made_by["seed"] == 1
    assert "same sign" in printed and "30 real windows" in printed
    assert {path.name for path in out.parent.iterdir()} == {
        "out.json", "out.perturbations.svg", "out.edits.svg", "out.singles.svg", "out.attacks.svg",
        "out.visible.svg",
    }  # fmt: skip


def test_without_a_language_model_and_once_more(weaknesses, neg, sums_energy):
    flags = [neg, "--path", sums_energy, "--entity", "7", "--visible", "1,3", "--seed", 3]
    flags += ["--common", "+"]
    report, printed, _ = weaknesses(*flags)
    assert set(report["perturbations"]["baseline"]) == {"energy"}
    assert report["perturbations"]["put_in"] == {"entity": "7", "common": "+"}
    assert "nll" not in printed and "perplexity" not in printed
    assert [row["num_windows"] for row in report["visible_tokens"]] == [30, 30]
    again, printed_again, _ = weaknesses(*flags)
    assert again == report
    assert printed_again.splitlines()[:-1] == printed.splitlines()[:-1]  # the last says where


@pytest.mark.parametrize("unit", ["token", "word"])
def test_a_chosen_word_is_replaced(weaknesses, neg, sums_energy, sums_lm, unit):
    """Sums end in a blank and a digit, whose words are their tokens."""
    flags = [neg, "--path", sums_energy, "--lm", sums_lm, "--replaced", "7", "--common", "3"]
    report, printed, out = weaknesses(*flags, "--unit", unit, "--draw")
    section = report["perturbations"]
    assert section["replaced"] == "7" and section["unit"] == unit
    assert 0 < section["num_windows"] <= report["num_windows"]
    rows = section["rows"]
    assert [row["perturbation"] for row in rows] == ["common", "swap"]
    assert all(row["position"] is None for row in rows) and rows[0]["energy_change"]["mean"] != 0
    assert f"of '7', in {section['num_windows']} windows" in printed and "most at" not in printed
    assert out.with_name("out.perturbations.svg").exists()


def test_words_at_all_positions(weaknesses, neg, sums_energy):
    flags = [neg, "--path", sums_energy, "--unit", "word", "--common", "3", "--positions", 3]
    section = weaknesses(*flags)[0]["perturbations"]
    assert [row["position"] for row in section["rows"]] == [1, 1, 5, 5, 10, 10]
    assert section["unit"] == "word" and section["put_in"] == {"common": "3"}


def test_the_subset_looked_at_sets_no_threshold(weaknesses, neg, sums_energy):
    report, printed, _ = weaknesses(neg, "--path", sums_energy, "--gen-subset", "valid")
    assert report["threshold"] == {"value": 0.0, "from": "zero"}
    assert "not set on valid text" in printed


@pytest.fixture(scope="module")
def backward_neg(run_program, sums, backward_lm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weak") / "backwards"
    return store(run_program, folder, sums, backward_lm, "--right-to-left")


def test_right_to_left(weaknesses, run_program, backward_neg, sums_energy, backward_lm):
    flags = [backward_neg, "--path", sums_energy, "--lm", backward_lm]
    report, printed, _ = weaknesses(*flags)
    assert report["visible_tokens"] == [] and "only for text generated left to right" in printed
    for kind in ("real", "generated"):
        for example in report["token_edits"][kind]["examples"]:
            assert all(edit["position"] <= 6 for edit in example["edits"])
    done = run_program("fairseq-ebm weaknesses", *flags, "--visible", 2, "--cpu")
    assert done.returncode == 2 and "--visible: not for text" in done.stderr


def test_bad_input(run_program, neg, sums_energy, sums_lm, tmp_path):
    good = [neg, "--path", sums_energy, "--cpu"]
    for flags, words in (
        ([tmp_path, "--path", sums_energy], "not a store of negatives"),
        ([neg, "--path", sums_lm, "--cpu"], "not an energy"),
        ([*good, "--lm", tmp_path / "no.pt"], "--lm: "),
        ([*good, "--lm", sums_energy], "--lm: "),
        ([*good, "--gen-subset", "train"], "the subset train is not complete"),
        ([*good, "--draw"], "--results-path: needed with --draw"),
        ([*good, "--visible", "3,7"], "--visible: 7 tokens, but at most 6 are generated"),
        ([*good, "--visible", "0"], "--visible: '0' is not whole numbers from 1"),
        ([*good, "--share", "1.5"], "'1.5' is not a share from 0 to 1"),
        ([*good, "--entity", "John"], "--entity: 'John' is not one token"),
        ([*good, "--common", "the"], "--common: 'the' is not one token"),
        ([*good, "--unit", "word", "--entity", "a b"], "--entity: 'a b' is not one word"),
        ([*good, "--unit", "word", "--replaced", "John"], "--replaced: 'John' is in none"),
        ([*good, "--unit", "letter"], "--unit: 'letter' is none of token, word"),
    ):
        done = run_program("fairseq-ebm weaknesses", *flags)
        assert done.returncode == 2 and words in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1 and not done.stdout
