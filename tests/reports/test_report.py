"""fairseq-ebm report on a folder of what the programs wrote."""

import json

import pytest

from tests.reports import records


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "a run"
    folder.mkdir()
    for name in ("perplexity", "analysis", "next_token", "detection", "matrix"):
        (folder / f"{name}.json").write_text(json.dumps(getattr(records, name)()))
    (folder / "pools.jsonl").write_text(json.dumps(records.pools()) + "\n")
    (folder / "other.json").write_text('{"of": "something else"}')
    (folder / "digits.json").write_text('{"kind": "prepared", "rows": [{"num_samples": 1}]}')
    (folder / "numbers.jsonl").write_text("1\n")
    (folder / "empty.jsonl").write_text("")
    (folder / "perplexity.windows.jsonl").write_text('{"number": 1}\n')
    return folder


def test_a_folder(run_program, folder):
    done = run_program("fairseq-ebm report", folder, "--title", "My run")
    assert done.returncode == 0, done.stderr
    page, text = (folder / f"report.{end}" for end in ("html", "md"))
    assert str(page) in done.stdout and "<h1>My run</h1>" in page.read_text()
    for words in ("## Perplexity", "| perplexity | 20.00", "Samples side by side (pools)"):
        assert words in text.read_text()
    assert "something else" not in page.read_text()


def test_a_folder_may_hold_other_json(run_program, folder):
    """Named itself, such a file is an error."""
    other = folder / "other.json"
    other.write_text("[1, 2]")
    done = run_program("fairseq-ebm report", folder)
    assert done.returncode == 0, done.stderr
    done = run_program("fairseq-ebm report", folder, other)
    assert done.returncode == 2 and "other.json" in done.stderr


def test_files_and_the_paper(run_program, folder, tmp_path):
    paper = tmp_path / "paper.json"
    paper.write_text('{"perplexity": {"joint_ppl": "13.97 to 14.00"}}')
    out = tmp_path / "there" / "page.html"
    flags = [folder / "perplexity.json", "--paper", paper, "--dest", out, "--quiet"]
    done = run_program("fairseq-ebm report", *flags)
    assert done.returncode == 0 and done.stdout == ""
    assert "13.97 to 14.00" in out.read_text() and "Samples" not in out.read_text()


def test_wrong_command_lines(run_program, tmp_path):
    for argument, words in (
        (tmp_path, "no report of our programs in it"),
        (tmp_path / "x", "no such file or folder"),
    ):
        done = run_program("fairseq-ebm report", argument)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    (tmp_path / "pools.jsonl").write_text(json.dumps(records.pools()) + "\n{\n")
    done = run_program("fairseq-ebm report", tmp_path)
    assert done.returncode == 2 and "pools.jsonl: line 2: not a prompt" in done.stderr
