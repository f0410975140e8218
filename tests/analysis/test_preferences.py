"""Statistics against sums over all outcomes; files that are wrong are named."""

import json
from math import comb

import pytest

from fairseq_ebm.analysis.preferences import (
    TIES,
    Ballot,
    Item,
    Key,
    majority,
    preference,
    rated,
    read_ballots,
    read_key,
    report,
)
from fairseq_ebm.errors import UserError


def at_least(k, n, chance=0.5):
    return sum(comb(n, i) * chance**i * (1 - chance) ** (n - i) for i in range(k, n + 1))


def votes(wins, ties, losses):
    return [1] * wins + [0] * ties + [-1] * losses


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("counts", [(7, 2, 3), (1, 0, 9), (5, 4, 0), (3, 6, 4)])
def test_against_all_outcomes(counts, ties):
    wins, equal, losses = counts
    found = preference(votes(*counts), ties)
    n = wins + losses + (0 if ties == "drop" else equal)
    k = wins + {"half": equal // 2, "drop": 0, "against": 0, "for": equal}[ties]
    assert (found["wins"], found["ties"], found["losses"]) == counts
    assert found["preference"] == pytest.approx(k / n)
    assert found["p_value"] == pytest.approx(at_least(k, n))
    low, high = found["preference_ci95"]  # of Clopper and Pearson: 2.5% on either side
    assert low == 0 if k == 0 else at_least(k, n, low) == pytest.approx(0.025)
    assert high == 1 if k == n else at_least(k + 1, n, high) == pytest.approx(0.975)


def test_half_a_tie_claims_nothing():
    odd = preference(votes(6, 1, 3), "half")
    down, up = (preference(votes(*counts), "half") for counts in ((6, 0, 4), (7, 0, 3)))
    assert odd["preference"] == 0.65 and odd["p_value"] == down["p_value"]
    assert odd["preference_ci95"] == [down["preference_ci95"][0], up["preference_ci95"][1]]


@pytest.mark.parametrize(
    ("wins", "trials", "share", "p"),
    [(187, 323, "57.89%", "0.0027"), (145, 310, "46.77%", "0.88"), (150, 300, "50.00%", "0.52")],
)
def test_the_papers_table(wins, trials, share, p):
    """Counts, which the paper does not tell, that give its shares and its p."""
    found = preference(votes(wins, 0, trials - wins), "drop")
    assert (f"{found['preference']:.2%}", f"{found['p_value']:.2g}") == (share, p)


@pytest.mark.parametrize("counts", [(0, 0, 0), (0, 3, 0)])
def test_nothing_to_count(counts):
    found = preference(votes(*counts), "drop")
    assert found["preference"] is found["preference_ci95"] is found["p_value"] is None


def test_majorities():
    assert [majority(v) for v in ([1, 1, -1], [1, -1], [0, 0, -1], [0])] == [1, 0, -1, 0]


ITEMS = [
    Item(1, 11, "joint", "base"),
    Item(2, 12, "base", "joint"),
    Item(3, 13, "shuffled", "real", "b"),
    Item(4, 14, "real", "joint"),
    Item(5, 15, "real", "shuffled", "a"),
]
KEY = Key("p1", [("joint", "base"), ("joint", "real")], ITEMS, {"seed": 1})


@pytest.mark.parametrize(
    ("checks", "failed", "kept"),
    [
        ({3: "b", 5: "a"}, 0, (True, True)),
        ({3: "b", 5: "b"}, 1, (False, True)),
        ({3: "b", 5: "tie"}, 1, (False, True)),
        ({3: "a", 5: "b"}, 2, (False, False)),
        ({3: "b"}, 0, (True, True)),
        ({}, 0, (False, False)),
    ],
)
def test_who_is_kept(checks, failed, kept):
    ballot = Ballot("Ann", {1: "a", 2: "tie", **checks})
    for most in (0, 1):
        rater = rated(ballot, ITEMS, most)
        assert (rater.votes, rater.checks, rater.failed) == (2, len(checks), failed)
        assert rater.kept == kept[most]


def test_a_report_by_hand():
    passed = {3: "b", 5: "a"}
    ballots = [
        Ballot("Ann", {1: "a", 2: "b", 4: "a", **passed}),  # joint, joint; real
        Ballot("Bob", {1: "b", 2: "b", **passed}),  # base, joint
        Ballot("Cy", {1: "a", 2: "tie", 4: "tie", **passed}),  # joint, tie; tie
        Ballot("Dan", {1: "b", 2: "a", 4: "b", 3: "a", 5: "a"}),  # fails
    ]
    found = report(KEY, ballots, "half", 0)
    assert (found["raters_kept"], found["raters_dropped"]) == (3, 1)
    assert [rater["kept"] for rater in found["raters"]] == [True, True, True, False]
    over_base, over_real = found["preferences"]
    counts = [[row[unit][name] for name in ("wins", "ties", "losses")]
              for row in (over_base, over_real) for unit in ("votes", "items")]  # fmt: skip
    assert counts == [[4, 1, 1], [2, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert (over_base["first"], over_real["second"]) == ("joint", "real")
    turned = Key("p1", [("base", "joint")], ITEMS, {})
    (row,) = report(turned, ballots, "half", 0)["preferences"]
    assert (row["votes"]["wins"], row["votes"]["losses"]) == (1, 4)
    assert report(KEY, ballots, "half", 1)["raters_kept"] == 4


def cast(**more):
    given = [{"item": 1, "choice": "a"}, {"item": 3, "choice": "tie"}]
    return {"format_version": 1, "page": "p1", "rater": " Ann ", "votes": given, **more}


def files(folder, *contents):
    paths = [folder / f"{i}.json" for i in range(len(contents))]
    for path, content in zip(paths, contents):
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return paths


def test_ballots(tmp_path):
    one, two = read_ballots(files(tmp_path, cast(), cast(rater="Bob", votes=[])), KEY)
    assert one == Ballot("Ann", {1: "a", 3: "tie"}) and two == Ballot("Bob", {})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("{", "not readable as JSON"),
        ({}, "not the votes that a page gives"),
        (cast(format_version=2), "format version 2"),
        (cast(rater=" "), "no name of the rater"),
        (cast(rater=None), "not the votes"),
        (cast(votes=[1]), "not the votes"),
        (cast(page="p2"), "votes on the page p2, but the key is that of p1"),
        (cast(rater="ANN"), "0.json too; give one file of each rater"),
        (cast(rater="B", votes=[{"item": 6, "choice": "a"}]), "item 6: 'a' is no vote"),
        (cast(rater="B", votes=[{"item": [1], "choice": "a"}]), r"item \[1\]: 'a' is no vote"),
        (cast(rater="B", votes=[{"item": 1, "choice": "c"}]), "item 1: 'c' is no vote"),
        (cast(rater="B", votes=2 * [{"item": 1, "choice": "a"}]), "item 1 has two votes"),
    ],
)
def test_wrong_votes_are_named(tmp_path, wrong, words):
    with pytest.raises(UserError, match=rf"1\.json: .*{words}"):
        read_ballots(files(tmp_path, cast(), wrong), KEY)


@pytest.mark.parametrize(
    "wrong",
    [cast(), {"format_version": 2}, {"format_version": 1, "page": "", "pairs": [], "items": [{}]}],
)
def test_other_files_are_no_keys(tmp_path, wrong):
    (path,) = files(tmp_path, wrong)
    with pytest.raises(UserError, match=r"0\.json: not a key"):
        read_key(path)
