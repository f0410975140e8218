"""Bars stay silent where nobody looks."""

from fairseq_ebm import progress as module
from fairseq_ebm.progress import log_progress, progress, silence


def test_no_bar_without_a_terminal(capsys):
    assert list(progress(range(3), "label", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_bar_for_whoever_reads_the_log(capsys, monkeypatch):
    monkeypatch.setattr(module, "_logged", False)
    log_progress()
    with silence(True):
        assert list(progress(range(3), "label", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    assert list(progress(range(3), "label", 3)) == [0, 1, 2]
    assert "label" in capsys.readouterr().err
