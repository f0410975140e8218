"""Tables, sentences and pictures of selection."""

import pytest

from fairseq_ebm.reports.kinds import items_of
from fairseq_ebm.reports.page import Picture, Table


def run(name, share):
    points = [{"update": 10 * i, "seconds": 5.0 * i, "loss": 4.0 - i / 10} for i in (1, 2)]
    times = [{"update": 10, "a": share, "b": 1 - share}, {"update": 20, "a": 0.9, "b": 0.1}]
    return {
        "name": name, "updates": 20, "seconds": 10.0, "updates_per_second": 2.0, "selecting": 0.25,
        "chosen": 160, "distinct": 80, "share": {"a": 0.9, "b": 0.1}, "effective": 3.5,
        "concentration": 0.75, "over_time": times, "valid": {"specific_valid": points},
    }  # fmt: skip


def test_runs_side_by_side():
    record = {"kind": "selection", "runs": [run("generic", 0.1), run("soba $1", 0.2)]}
    table, *pictures = items_of(record)
    assert isinstance(table, Table) and len(table.heads) == len(table.rows[0])
    assert table.rows[0][:4] == ["generic", "3.800", "90.0%", "10.0%"]
    assert table.rows[1][-1] == "25%"
    assert [p.name for p in pictures] == ["shares", "loss-specific_valid"]
    assert pictures[0].panels == 2


def test_runs_without_sources_or_validation():
    none = {"share": {}, "valid": {}, "effective": None}
    record = {"kind": "selection", "runs": [{**run("x", 0.1), **none}]}
    items = items_of(record)
    assert not any(isinstance(item, Picture) for item in items)
    assert "–" in items[0].rows[0]


def test_ends_of_scores_are_shown_as_text():
    ends = {end: [{"score": 1.5, "text": "two\nlines" * 100}] for end in ("highest", "lowest")}
    record = {"kind": "selection_scores", "examples": 400, "by": {"before": "0", "after": "1"},
              "low": -1.0, "median": 0.0, "high": 1.0, "mean": 0.0, **ends,
              "sources": {"a": {"share": 0.1, "of_best": 0.9}}}  # fmt: skip
    words, sources, highest, _lowest = items_of(record)
    assert words.startswith("scores by before, after: 400 examples")
    assert sources.rows == [["a", "10.0%", "90.0%"]]
    assert "⏎" in highest.rows[0][1] and len(highest.rows[0][1]) < 500


AGREE, NOT = [0.4, 0.6], [-0.1, 0.3]


@pytest.mark.parametrize(
    ("halves", "checkpoints", "words"),
    [
        (AGREE, [], "agree on what helps"),
        (AGREE, [AGREE], "and one checkpoint with the next"),
        (AGREE, [NOT], "changes in training"),
        (NOT, [AGREE], "nothing here for selection to learn"),
    ],
)
def test_the_test_is_told_in_words(halves, checkpoints, words):
    def found(interval, **more):
        return {"path": "a.pt", "correlation": sum(interval) / 2, "correlation_ci95": interval,
                "best_shared": 0.5, "best_by_chance": 0.1, **more}  # fmt: skip

    record = {"kind": "selection_test", "examples": 10, "specific_examples": 8,
              "halves": [found(halves)],
              "checkpoints": [found(each, **{"and": "b.pt"}) for each in checkpoints]}  # fmt: skip
    table, told = items_of(record)
    assert words in told and len(table.rows) == 1 + len(checkpoints)


def test_what_was_kept():
    record = {"kind": "selection_filter", "kept": 40, "examples": 400, "split": "train",
              "tokens": 1234, "dest": "x", "share": {"a": 0.5}}  # fmt: skip
    words, table = items_of(record)
    assert "kept 40 of 400 examples of train, 1,234 tokens" in words
    assert table.rows == [["a", "50.0%"]]
