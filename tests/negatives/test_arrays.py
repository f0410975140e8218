"""Arrays on disk: whole, resumed after a stop at any point, and refused when altered."""

import numpy as np
import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.negatives.arrays import BLOCK, Arrays, ArraysWriter, num_blocks

ROWS = 3 * BLOCK + 10
LAYOUT = {"b": ((4,), "uint16"), "a": ((), "float32")}
CONTENT = {
    "a": np.arange(ROWS, dtype=np.float32),
    "b": np.arange(4 * ROWS).reshape(ROWS, 4).astype(np.uint16),
}


def block_of(i):
    return {name: array[i * BLOCK : (i + 1) * BLOCK] for name, array in CONTENT.items()}


def write(folder, stop_after=None):
    with ArraysWriter(folder, LAYOUT, ROWS) as writer:
        for i in range(writer.done, num_blocks(ROWS)):
            if i == stop_after:
                raise KeyboardInterrupt
            writer.write(block_of(i))


def all_bytes(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_round_trip_and_plain_numpy(tmp_path):
    write(tmp_path / "x")
    arrays = Arrays(tmp_path / "x")
    assert arrays.rows == ROWS and arrays.names == ["a", "b"]
    assert arrays.row(200)["b"].tolist() == CONTENT["b"][200].tolist()
    assert np.array_equal(arrays.block(3)["a"], CONTENT["a"][3 * BLOCK :])
    assert np.array_equal(np.load(tmp_path / "x" / "b.npy"), CONTENT["b"])
    with pytest.raises(IndexError):
        arrays.row(ROWS)


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_goes_on_where_it_stopped(tmp_path, stop):
    write(tmp_path / "x")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "y", stop_after=stop)
    assert not (tmp_path / "y").exists()
    with ArraysWriter(tmp_path / "y", LAYOUT, ROWS) as writer:
        assert writer.done == stop
    write(tmp_path / "y")
    assert all_bytes(tmp_path / "x") == all_bytes(tmp_path / "y")


def test_what_was_written_behind_the_progress_is_written_again(tmp_path):
    write(tmp_path / "x")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "y", stop_after=2)
    garbage = (tmp_path / "y.part" / "b.npy").read_bytes()
    (tmp_path / "y.part" / "b.npy").write_bytes(garbage[: -8 * BLOCK] + b"\xff" * 8 * BLOCK)
    write(tmp_path / "y")
    assert all_bytes(tmp_path / "x") == all_bytes(tmp_path / "y")


def test_a_kill_between_renaming_and_tidying_leaves_no_trace(tmp_path):
    write(tmp_path / "x")
    before = all_bytes(tmp_path / "x")
    (tmp_path / "x" / "progress.json").write_text('{"blocks": 4}')
    write(tmp_path / "x")
    assert all_bytes(tmp_path / "x") == before


def test_a_second_writer_is_refused(tmp_path):
    with ArraysWriter(tmp_path / "x", LAYOUT, ROWS), pytest.raises(UserError, match="another"):
        write(tmp_path / "x")


def test_no_rows(tmp_path):
    with ArraysWriter(tmp_path / "x", LAYOUT, 0):
        pass
    assert Arrays(tmp_path / "x").rows == 0


def test_a_folder_under_way_is_not_whole(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "x", stop_after=1)
    with pytest.raises(UserError, match="not complete"):
        Arrays(tmp_path / "x")


@pytest.mark.parametrize("name", ["a", "b", "checksums"])
def test_a_truncated_file_is_named(tmp_path, name):
    write(tmp_path / "x")
    path = tmp_path / "x" / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{name}\.npy: truncated or altered"):
        Arrays(tmp_path / "x")


def test_an_altered_file_is_named_when_the_block_is_read(tmp_path):
    write(tmp_path / "x")
    path = tmp_path / "x" / "b.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    arrays = Arrays(tmp_path / "x")
    arrays.row(0)
    with pytest.raises(UserError, match=rf"b\.npy: altered \(rows {3 * BLOCK} to {ROWS - 1}"):
        arrays.row(ROWS - 1)


def test_a_missing_file(tmp_path):
    write(tmp_path / "x")
    (tmp_path / "x" / "a.npy").unlink()
    with pytest.raises(UserError, match="missing"):
        Arrays(tmp_path / "x")


def test_a_writer_that_comes_when_another_is_done(tmp_path, monkeypatch):
    """The other one finishes between the first look and the lock."""
    folder = tmp_path / "arrays"
    exists = type(folder).exists
    looks = []

    def too_early(path):
        if path == folder and not looks:
            looks.append(path)
            write(tmp_path / "other")
            (tmp_path / "other").rename(folder)
            return False
        return exists(path)

    monkeypatch.setattr(type(folder), "exists", too_early)
    write(folder)
    assert looks and Arrays(folder).rows == ROWS
    assert not (tmp_path / "arrays.part").exists()
