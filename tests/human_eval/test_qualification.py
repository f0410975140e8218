"""Who goes on from a qualification round."""

import json

import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.human_eval.ballots import Ballot, Item, Key, read_qualified
from fairseq_ebm.human_eval.qualification import qualify

ITEMS = [Item(i, i, "real", "base", "a") for i in range(1, 11)]
KEY = Key("p1", [("real", "base")], ITEMS, {})


def ballot(name, right, rest="b"):
    return Ballot(name, {i: "a" if i <= right else rest for i in range(1, 11)})


@pytest.mark.parametrize(
    ("right", "best", "above", "names"),
    [
        ((10, 8, 7, 6), 0.5, 0, "AB"),
        ((10, 8, 7, 6), 1, 2 / 3, "ABC"),
        ((10, 8, 7, 6), 1, 0.7, "AB"),  # more than that
        ((10, 6, 6, 6), 0.5, 0, "ABCD"),  # equal ones go on together
        ((6, 5, 4, 3), 0.5, 2 / 3, ""),
        ((9, 8, 7, 6, 5), 0.5, 0, "AB"),  # rounded down
        ((9, 8, 7), 0, 0, "A"),
    ],
)
def test_who_goes_on(right, best, above, names):
    ballots = [ballot(name, n) for name, n in zip("ABCDE", right)]
    found = qualify(KEY, ballots, best, above)
    assert "".join(each.rater for each in found if each.qualified) == names
    assert [(each.right, each.accuracy) for each in found] == [(n, n / 10) for n in right]


def test_ties_and_no_answers_are_not_right():
    given = [ballot("A", 4, "tie"), Ballot("B", {1: "a"})]
    assert [each.right for each in qualify(KEY, given, 1, 0)] == [4, 1]


def test_comparisons_qualify_nobody():
    key = Key("p1", KEY.pairs, [*ITEMS, Item(11, 11, "joint", "base")], {})
    with pytest.raises(UserError, match="comparisons without a known answer"):
        qualify(key, [ballot("A", 1)], 1, 0)


def test_names_of_a_report(tmp_path):
    path = tmp_path / "raters.json"
    raters = [{"rater": "Ann", "qualified": True}, {"rater": "Bob", "qualified": False}]
    path.write_text(json.dumps({"raters": raters}))
    assert read_qualified(path) == {"ann"}
    for wrong in ({}, {"raters": [{"rater": "Ann"}]}, {"raters": [1]}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(UserError, match=r"--qualified: .*raters.json: not a report of"):
            read_qualified(path)
