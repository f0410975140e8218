"""Arrays on disk that grow block by block and survive a kill at any moment.

A folder holds one .npy file an array, all with the same number of rows, and checksums.npy with the
CRC-32 of every block of every array. While it is being written its name ends in ".part" and
progress.json says how many blocks are safe: everything after them is written again.
"""

import fcntl
import json
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from ..errors import UserError

BLOCK = 64  # rows; also what is sampled in one go, so that a resumed run repeats every operation
CHECKSUMS = "checksums"
PROGRESS = "progress.json"

Layout = Mapping[str, Tuple[Tuple[int, ...], str]]  # name -> (shape of a row, dtype)


def num_blocks(rows: int) -> int:
    return -(-rows // BLOCK)


class ArraysWriter:
    """Writes ``rows`` rows of ``layout`` to ``folder``; resumes where an earlier process stopped.

    with ArraysWriter(folder, layout, rows) as writer:
        for block in range(writer.done, num_blocks(rows)):
            writer.write({name: the block's rows, ...})
    """

    def __init__(self, folder: Path, layout: Layout, rows: int) -> None:
        self.folder, self.part = folder, folder.with_name(folder.name + ".part")
        self.rows, self.layout = rows, dict(sorted(layout.items()))
        self.done = 0
        self._lock: Optional[int] = None
        self._offsets: Dict[str, int] = {}
        self._files: Dict[str, int] = {}

    def __enter__(self) -> "ArraysWriter":
        if self.folder.exists():  # complete already
            self.done = num_blocks(self.rows)
            return self
        self.part.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.part, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{self.part}: another process is writing it") from None
        if self.folder.exists():  # another process finished it while we looked
            self._leave_it()
            return self
        checksums = ((len(self.layout),), "uint32")
        for name, (shape, dtype) in {**self.layout, CHECKSUMS: checksums}.items():
            rows = num_blocks(self.rows) if name == CHECKSUMS else self.rows
            self._open(name, (rows, *shape), np.dtype(dtype))
        progress = self.part / PROGRESS
        if progress.exists():
            self.done = json.loads(progress.read_text(encoding="utf-8"))["blocks"]
        return self

    def _leave_it(self) -> None:
        self.done = num_blocks(self.rows)
        assert self._lock is not None
        os.close(self._lock)
        self._lock = None
        with suppress(FileNotFoundError):
            self.part.rmdir()

    def _open(self, name: str, shape: Tuple[int, ...], dtype: np.dtype) -> None:
        """Takes the disk space of the whole array now: a full disk shows before the work does."""
        path = self.part / f"{name}.npy"
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._files[name] = file
        with os.fdopen(os.dup(file), "r+b") as stream:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
            np.lib.format.write_array_header_1_0(stream, {**header, "shape": shape})
            stream.flush()
            self._offsets[name] = stream.tell()
        size = self._offsets[name] + int(np.prod(shape)) * dtype.itemsize
        if os.fstat(file).st_size < size:
            os.posix_fallocate(file, 0, size)

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """The next block: ``BLOCK`` rows of each array, fewer only at the end."""
        checksums = []
        for name, (shape, dtype) in self.layout.items():
            block = np.ascontiguousarray(arrays[name], dtype=dtype)
            assert block.shape[1:] == shape, (name, block.shape, shape)
            self._write_at(name, self.done * BLOCK * block[:1].nbytes, block.tobytes())
            checksums.append(zlib.crc32(block.tobytes()))
        row = np.array(checksums, dtype=np.uint32)
        self._write_at(CHECKSUMS, self.done * row.nbytes, row.tobytes())
        for file in self._files.values():
            os.fsync(file)
        self.done += 1
        progress = self.part / (PROGRESS + ".tmp")
        progress.write_text(json.dumps({"blocks": self.done}), encoding="utf-8")
        os.replace(progress, self.part / PROGRESS)

    def _write_at(self, name: str, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._files[name], view, self._offsets[name] + offset)
            view, offset = view[written:], offset + written

    def __exit__(self, kind: Any, error: Optional[BaseException], trace: Any) -> None:
        for file in self._files.values():
            os.close(file)
        if error is None and self.done == num_blocks(self.rows):
            if self._lock is not None:
                os.replace(self.part, self.folder)
            (self.folder / PROGRESS).unlink(missing_ok=True)  # last: a kill may come in between
        if self._lock is not None:
            os.close(self._lock)


class Arrays:
    """A finished folder, memory-mapped. A block is checked against its checksum when first read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if folder.with_name(folder.name + ".part").exists() and not folder.exists():
            raise UserError(f"{folder}: not complete; run the command that writes it again")
        names = sorted(path.stem for path in folder.glob("*.npy"))
        self._arrays = {name: self._open(name) for name in names}
        self._checksums = self._arrays.pop(CHECKSUMS, np.zeros((0, 0)))
        self.names = list(self._arrays)
        self.rows = min((len(array) for array in self._arrays.values()), default=0)
        fits = all(len(array) == self.rows for array in self._arrays.values())
        if not fits or self._checksums.shape != (num_blocks(self.rows), len(self._arrays)):
            raise UserError(f"{folder}: files are missing or do not belong together")
        self._checked = np.zeros(num_blocks(self.rows), dtype=bool)

    def _open(self, name: str) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            with suppress(OSError, ValueError, EOFError):
                whole = np.load(path, allow_pickle=False)
                if 0 in whole.shape:  # numpy does not map an array without rows
                    return whole
            raise UserError(f"{path}: truncated or altered ({error})") from None
        return array.view(np.ndarray)  # mapped as before; a memmap's own views are slow to make

    def __getitem__(self, name: str) -> np.ndarray:
        """A whole array, unchecked."""
        return self._arrays[name]

    def row(self, i: int) -> Dict[str, np.ndarray]:
        """Row ``i`` of each array."""
        if not 0 <= i < self.rows:
            raise IndexError(i)
        self.check(i // BLOCK)
        return {name: array[i] for name, array in self._arrays.items()}

    def block(self, block: int) -> Dict[str, np.ndarray]:
        self.check(block)
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        return {name: array[rows] for name, array in self._arrays.items()}

    def check(self, block: int) -> None:
        if self._checked[block]:
            return
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        for name, expected in zip(self.names, self._checksums[block]):
            if zlib.crc32(np.ascontiguousarray(self._arrays[name][rows]).tobytes()) != expected:
                altered = f"altered (rows {rows.start} to {min(self.rows, rows.stop) - 1}"
                remedy = "do not match their checksum); generate it again"
                raise UserError(f"{self.folder / name}.npy: {altered} {remedy}")
        self._checked[block] = True
