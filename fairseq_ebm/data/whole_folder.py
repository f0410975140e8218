"""A folder that is either complete or not there at all."""

import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import UserError

OURS = ".{}.fairseq-ebm-"  # followed by what mkdtemp adds
JUST_MADE = 10  # seconds during which a new folder may not be locked yet


@contextmanager
def whole_folder(dest: Path) -> Iterator[Path]:
    """A folder to write into; it becomes ``dest`` on success and is removed otherwise.

    What killed processes left behind is removed as well.
    """
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(dest)
        folder = Path(tempfile.mkdtemp(prefix=OURS.format(dest.name), dir=dest.parent))
    except OSError as error:
        raise UserError(f"--dest: {dest} cannot be created ({error.strerror})") from None
    lock = _locked(folder)
    try:
        umask = os.umask(0)
        os.umask(umask)
        folder.chmod(0o777 & ~umask)  # what dest would have; mkdtemp's is 0o700
        yield folder
        os.replace(folder, dest)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(folder: Path) -> int:
    """A lock that lasts until this process ends; an OSError if another one holds it."""
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _remove_leftovers(dest: Path) -> None:
    for folder in dest.parent.glob(OURS.format(glob.escape(dest.name)) + "?" * 8):
        with suppress(OSError):  # in use: its process holds the lock
            if time.time() - folder.stat().st_mtime > JUST_MADE:
                lock = _locked(folder)
                shutil.rmtree(folder)
                os.close(lock)
