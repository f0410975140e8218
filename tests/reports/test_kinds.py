"""Records → sections: what stands in the tables is what stands in the records."""

from fairseq_ebm.reports.kinds import KINDS, items_of, sections
from fairseq_ebm.reports.page import Named, Picture, SampleTexts, Table
from fairseq_ebm.reports.report import samples
from tests.reports import records


def tables(section):
    return [item for item in section.items if isinstance(item, Table)]


def one(record, paper=None, name="a record"):
    (section,) = sections([Named(name, record)], paper or {})
    return section


def test_perplexities():
    section = one(records.perplexity())
    table, against = tables(section)
    (row,) = table.rows
    assert row[:2] == ["a record", "20.00 (18.00 to 22.00)"]
    assert row[2:4] == ["18.00 to 19.00 (16.65 to 20.35)", "18.50 (18.25 to 18.75)"]
    assert row[4:] == ["5.00% (4.00 to 6.00)", "7 × 20", "9.5"] and len(row) == len(table.heads)
    assert against.rows == [["a record, upper bound", "RALM, 17.00", "-12.00% (-20.00 to -10.00)"]]
    assert sum(isinstance(item, Picture) for item in section.items) == 2
    words = [item for item in section.items if isinstance(item, str)]
    assert any("more windows would lower it" in w for w in words)
    assert "a record: warning: take more samples" in words and any(
        "18.250 exactly" in w for w in words
    )


def test_a_language_model_alone():
    record = {
        "kind": "perplexity",
        "base_ppl": 20.0,
        "base_ppl_ci95": None,
        "num_windows": 3,
        "provenance": {},
    }
    (row,) = tables(one(record))[0].rows
    assert row == ["a record", "20.00", "–", "–", "–", "3", "–"]


def test_the_papers_own_numbers_stand_beside():
    found = [Named(n, records.perplexity()) for n in ("unit", "other")]
    (section,) = sections(found, {"unit": {"joint_ppl": "15.57 to 15.58"}})
    table, _ = tables(section)
    assert table.heads[-1] == "paper" and [r[-1] for r in table.rows] == ["15.57 to 15.58", ""]
    assert "paper" not in tables(one(records.perplexity()))[0].heads


def test_next_tokens():
    (table,) = tables(one(records.next_token()))
    luck, bounds = "(30.00 to 70.00)", "40.00% to 60.00%"
    assert table.rows[0] == ["'c'", "75.0%", "'a|b'", "62.5%", f"50.00% {luck}", bounds]
    assert [row[2] for row in table.rows] == ["'a|b'", "'c'"]


def test_other_kinds():
    grams, densities = tables(one(records.analysis()))
    assert grams.rows[0] == ["2-grams", "90.00%", "80.00%", "85.00%"]
    assert [row[1] for row in densities.rows] == ["2.00 (0.10)", "1.25 (0.10)"]
    (grams,) = tables(one({**records.analysis(), "densities": None}))
    assert grams.heads == ["", "real", "base LM", "joint"]
    (table,) = tables(one(records.detection()))
    assert table.rows[0][1] == "75.0% (70.0 to 80.0)" and table.rows[1][2] == "–"
    cells, findings = tables(one(records.matrix()))
    assert cells.rows == [["UniT", "62.5% (60.0 to 65.0)"]]
    assert findings.rows == [["bigger is better", "not found", "50.0% > 62.5%"]]


def test_samples_side_by_side():
    (sample,) = samples("pools", [records.pools()]).items
    assert isinstance(sample, SampleTexts) and sample.prompt == "1 + 1 <="
    assert sample.texts[0] == ("base LM", "three & four", "energy –, log P of the base LM -7.0")
    assert sample.texts[1][2] == "energy -1.50, log P of the base LM -4.0"
    assert [who for who, _, _ in sample.texts] == ["base LM", "joint model", "real"]


def test_sections_stand_in_order_and_only_if_there_is_something():
    all_of = (records.matrix(), records.analysis(), records.perplexity())
    found = sections([Named(str(i), record) for i, record in enumerate(all_of)], {})
    assert KINDS["shard"].title is None and sections([Named("", {"kind": "shard"})], {}) == []
    assert [section.title for section in found] == [
        "Perplexity",
        "What the models write",
        "How far detection generalises",
    ]
    assert sections([], {}) == []


def test_alone_a_record_needs_no_name():
    words = [item for item in items_of(records.perplexity()) if isinstance(item, str)]
    assert "warning: take more samples" in words
    table = next(item for item in items_of(records.detection()) if isinstance(item, Table))
    assert table.note.startswith("4 real and 8 generated texts")
