"""What a command reads that no stage has made: which files count, and what they are known by."""

import os
import subprocess
import sys

import fairseq
import pytest
import torch

from fairseq_ebm.version import __version__
from fairseq_ebm.workflow import inputs
from fairseq_ebm.workflow.inputs import PACKAGE, Inputs, paths_in, versions


@pytest.fixture
def digests(tmp_path, monkeypatch):
    """What a command's files are known by: digests("program", "--train", "a.txt")"""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made").mkdir()
    for name in ("a.pt", "b.pt", "with:colon.txt", "John", "0.1", "made/c.pt"):
        (tmp_path / name).write_text(name)
    return lambda *command: Inputs(tmp_path / "made", tmp_path / "memory").of(command)


@pytest.mark.parametrize(
    "command", [["a.pt"], ["--path", "a.pt"], ["--path=a.pt"], ["--path=b.pt:a.pt"], ["x:a.pt"]]
)
def test_a_changed_file_is_another_input(digests, tmp_path, command):
    before = digests("program", *command)
    assert before == digests("program", *command)
    (tmp_path / "a.pt").write_text("else")
    assert digests("program", *command) != before


def test_paths(digests, tmp_path):
    words = ["--lr=0.5", "adam", "with:colon.txt", "a.pt:no:b.pt*0.5", "x" * 5000, "a\0b", ""]
    assert [path.name for path in paths_in(words)] == ["with:colon.txt", "a.pt", "b.pt"]
    assert list(paths_in(["a.pt"])) == [tmp_path / "a.pt"]


def test_a_word_that_happens_to_be_a_folder_is_no_path(digests, tmp_path):
    """As in --gen-subset test; with a slash it is one. A file is one, whatever its name."""
    (tmp_path / "data").mkdir()
    words = ["data", "--gen-subset=data", "made", "a:data"]
    assert list(paths_in(words)) == [] == digests(*words)
    named = ["./data", "--path=./data", str(tmp_path / "data"), "data/", "x:./data"]
    assert [path.name for path in paths_in(named)] == 5 * ["data"]
    assert [path.name for path in paths_in(["John", "--x=0.1"])] == ["John", "0.1"]


def test_folders(digests, tmp_path):
    """All files, by name and content; but hidden ones, what stages made, and this package."""
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / ".cache").mkdir()
    found = [digests("--data=./data")]
    for name in ("data/train/0.npy", "data/dict.txt", "data/other.txt"):
        (tmp_path / name).write_text("the same")
        found.append(digests("--data=./data"))
    (tmp_path / "data" / "other.txt").rename(tmp_path / "data" / "renamed.txt")
    found.append(digests("--data=./data"))
    assert found[0] == [] and len({tuple(each) for each in found}) == 5
    (tmp_path / "data" / ".cache" / "x").write_text("hidden")
    assert digests("--data=./data") == found[-1]
    whole = digests(str(tmp_path))
    (tmp_path / "made" / "c.pt").write_text("by another stage")
    assert digests(str(tmp_path)) == whole
    assert digests("made/c.pt", "./made", "--user-dir", str(PACKAGE), str(PACKAGE / "x"), "/") == []


def test_only_what_changed_is_read_again(digests, tmp_path, monkeypatch):
    files = Inputs(tmp_path / "made", tmp_path / "memory")
    before = files.of(["a.pt", "b.pt"])
    files.save()
    read, sha256_of = [], inputs.sha256_of
    monkeypatch.setattr(inputs, "sha256_of", lambda path: read.append(path.name) or sha256_of(path))
    assert digests("a.pt", "b.pt") == before and read == []
    stat = (tmp_path / "b.pt").stat()
    (tmp_path / "b.pt").write_text("c.pt")  # as long, and as old
    os.utime(tmp_path / "b.pt", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = digests("a.pt", "b.pt")
    assert read == ["b.pt"] and after[0] == before[0] and after[1] != before[1]


def test_versions():
    """Those of the packages themselves, which importing them would take seconds to ask."""
    assert versions() == [__version__, fairseq.__version__, torch.__version__.partition("+")[0]]


def test_planning_needs_no_torch():
    """A dry run, an error or a run with nothing to do take a moment."""
    code = "import sys, fairseq_ebm.workflow.run; print({'torch', 'fairseq'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert done.stdout == "set()\n"
