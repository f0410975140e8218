import os
import time

import pytest

from fairseq_ebm.data import whole_folder as module
from fairseq_ebm.data.whole_folder import whole_folder


def test_whole(tmp_path):
    with whole_folder(tmp_path / "a b" / "data") as folder:
        (folder / "x").write_text("1")
        assert not (tmp_path / "a b" / "data").exists()
    assert (tmp_path / "a b" / "data" / "x").read_text() == "1"
    assert [path.name for path in (tmp_path / "a b").iterdir()] == ["data"]


def test_or_not_at_all(tmp_path):
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "data") as folder:
        (folder / "x").write_text("1")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def old(folder):
    hour_ago = time.time() - 3600
    os.utime(folder, (hour_ago, hour_ago))


def test_what_killed_processes_left_is_removed(tmp_path):
    """But not what a process is working on, nor what belongs to another name."""
    killed = module.OURS.format("data") + "abcd1234"
    others = [module.OURS.format("data2") + "abcd1234", ".data-backup", ".data.fairseq-ebm-mine"]
    young = module.OURS.format("data") + "efgh5678"
    for name in (killed, *others, young):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.bin").write_bytes(b"much")
        if name != young:
            old(tmp_path / name)
    with whole_folder(tmp_path / "data") as in_use:
        old(in_use)
        with whole_folder(tmp_path / "data[1]"), pytest.raises(BlockingIOError):
            module._locked(in_use)
        assert in_use.exists()
        remaining = {path.name for path in tmp_path.iterdir()} - {in_use.name}
        assert remaining == {*others, young, "data[1]"}
