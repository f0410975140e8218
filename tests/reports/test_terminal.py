"""A record in a terminal: one row as a list, several as a table, as wide as there is room."""

from pathlib import Path

from fairseq_ebm.joint.options import Analyse
from fairseq_ebm.reports.terminal import shown
from tests.reports import records


def test_a_single_row_is_a_list():
    lines = shown(records.perplexity(), width=80).splitlines()
    assert lines[0].split(maxsplit=2) == ["language", "model", "20.00 (18.00 to 22.00)"]
    assert any(line.startswith("gain of the upper bound") for line in lines)


def test_several_rows_fit_the_terminal():
    for width, most in ((200, 200), (100, 100)):
        text = shown(records.detection(), width=width)
        table, _, _ = text.partition("\n4 real")
        assert max(map(len, table.splitlines())) <= most and "energy" in text and "lrr" in text
    assert "75.0%  " in shown(records.detection(), width=76)  # without intervals
    assert "(70.0 to 80.0)" not in shown(records.detection(), width=76)
    lines = shown(records.detection(), width=40).splitlines()
    assert lines[0].split() == ["score", "energy"] and "" in lines


def test_only_intervals_move_to_a_line_of_their_own():
    record = records.next_token()
    record["top"][0]["lm"]["text"] = " (x to y)"
    assert "' (x to y)'" in shown(record, width=92)


def test_tables_stand_apart():
    lines = shown(records.analysis(), width=80).splitlines()
    assert "" in lines and not any(a == b == "" for a, b in zip(lines, lines[1:]))


def test_where_it_was_written():
    options = Analyse(pools=["p.jsonl"], results_path="a/out.json", draw=True)
    written = f"written: {Path('a/out.json')}, a/out.ngrams.svg, a/out.densities.svg"
    assert shown(records.analysis(), options).splitlines()[-1] == written
