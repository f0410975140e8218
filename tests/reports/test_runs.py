"""A page of many runs: as Markdown, and beside the runs as HTML."""

import pytest

from fairseq_ebm.reports.page import Section
from fairseq_ebm.reports.runs import page_of_runs


def test_both_pages_are_written(tmp_path, capsys):
    runs, out, learned = tmp_path / "runs", tmp_path / "docs/found.md", tmp_path / "learned.md"
    runs.mkdir()
    learned.write_text("## What was learnt\n")

    def sections(folder):
        return [Section("First", [f"of {folder}/a & b"])]

    page_of_runs("Says it.", "A title", sections, [*map(str, (runs, out)), "--learned",
                                                   str(learned)])  # fmt: skip
    text = out.read_text()
    assert text.startswith("# A title\n\n## First\n\n") and text.endswith(
        "\n\n## What was learnt\n"
    )
    assert f"{runs}/" not in text  # no page tells where it was made
    page = (runs / "found.html").read_text()
    assert "a &amp; b" in page and f"{runs}/" not in page
    assert str(out) in capsys.readouterr().out


def test_help_says_what_it_is_for(capsys):
    with pytest.raises(SystemExit):
        page_of_runs("Says it.\nAnd more.", "", lambda folder: [], ["--help"])
    shown = capsys.readouterr().out
    assert "Says it." in shown and "And more" not in shown and "--learned" in shown
