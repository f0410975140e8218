"""Statistics against sums over all outcomes; files that are wrong are named."""

import json
from math import comb

import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.human_eval.ballots import Ballot, Item, Key, read_ballots, read_key
from fairseq_ebm.human_eval.options import TIES
from fairseq_ebm.human_eval.votes import majority, passed, preference, rated, report


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
    Item(3, 13, "base", "real", "b"),
    Item(4, 14, "real", "joint"),
    Item(5, 15, "base", "joint"),
    Item(6, 16, "real", "base", "a"),
]
KEY = Key("p1", [("joint", "base"), ("joint", "real")], ITEMS, {"seed": 1})


@pytest.mark.parametrize(
    ("checks", "asked", "failed", "dropped"),
    [
        ({3: "b", 6: "a"}, 2, 0, []),
        ({3: "b", 6: "b"}, 2, 1, [5]),
        ({3: "b", 6: "tie"}, 2, 1, [5]),
        ({3: "a", 6: "a"}, 2, 1, [1, 2]),
        ({3: "a", 6: "b"}, 2, 2, [1, 2, 5]),
        ({3: "b"}, 2, 1, [5]),
        ({}, 2, 2, [1, 2, 5]),
    ],
)
def test_a_failed_check_drops_its_four(checks, asked, failed, dropped):
    given = {1: "a", 2: "tie", 5: "b"}
    ballot = Ballot("Ann", {**given, **checks})
    counted = set(passed(ballot, ITEMS).choices) - {3, 6}
    assert counted == set(given) - set(dropped)
    rater = rated(ballot, ITEMS)
    assert (rater.votes, rater.dropped, rater.checks, rater.failed) == (
        3, len(dropped), asked, failed,
    )  # fmt: skip
    assert rater.kept and rater.qualified is None


def test_who_is_dropped_altogether():
    ballot = Ballot("Ann", {1: "a", 3: "a", 5: "b", 6: "a"})
    for most, kept in ((None, True), (0, False), (1, True)):
        rater = rated(ballot, ITEMS, most)
        assert (rater.kept, rater.dropped) == (kept, 1 if kept else 2)
    for names, qualified in (({"ann"}, True), ({"bob"}, False)):
        rater = rated(ballot, ITEMS, None, names)
        assert rater.qualified == rater.kept == qualified


def test_a_four_that_was_not_begun_is_not_failed():
    rater = rated(Ballot("Ann", {1: "a", 3: "b"}), ITEMS)
    assert (rater.checks, rater.failed, rater.dropped) == (1, 0, 0)
    without = [*ITEMS, Item(9, 19, "base", "joint")]  # no check is in the last four
    assert passed(Ballot("Ann", {9: "a"}), without).choices == {9: "a"}


def test_a_report_by_hand():
    passes = {3: "b", 6: "a"}
    ballots = [
        Ballot("Ann", {1: "a", 2: "b", 4: "a", **passes}),  # joint, joint; real
        Ballot("Bob", {1: "b", 2: "b", 5: "b", **passes}),  # base, joint, joint
        Ballot("Cy", {1: "a", 2: "tie", 4: "tie", **passes}),  # joint, tie; tie
        Ballot("Dan", {1: "b", 2: "a", 4: "b", 5: "b", 3: "a", 6: "a"}),  # counts once: joint
    ]
    found = report(KEY, ballots, "half")
    assert (found["raters_kept"], found["raters_dropped"]) == (4, 0)
    assert [rater["dropped"] for rater in found["raters"]] == [0, 0, 0, 3]
    over_base, over_real = found["preferences"]
    counts = [[row[unit][name] for name in ("wins", "ties", "losses")]
              for row in (over_base, over_real) for unit in ("votes", "items")]  # fmt: skip
    assert counts == [[6, 1, 1], [3, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert (over_base["first"], over_real["second"]) == ("joint", "real")
    turned = Key("p1", [("base", "joint")], ITEMS, {})
    (row,) = report(turned, ballots, "half")["preferences"]
    assert (row["votes"]["wins"], row["votes"]["losses"]) == (1, 6)
    assert report(KEY, ballots, "half", 0)["raters_kept"] == 3
    assert report(KEY, ballots, "half", None, {"bob", "cy"})["raters_kept"] == 2


def test_known_answers_are_no_votes():
    key = Key("p1", [("real", "base")], ITEMS, {})
    (row,) = report(key, [Ballot("Ann", {3: "b", 6: "a"})], "half")["preferences"]
    assert row["votes"]["preference"] is None
    with pytest.raises(UserError, match="a qualification page, which holds no comparisons"):
        report(Key("p1", [("real", "base")], [ITEMS[2], ITEMS[5]], {}), [], "half")


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
        (cast(rater="B", votes=[{"item": 7, "choice": "a"}]), "item 7: 'a' is no vote"),
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
