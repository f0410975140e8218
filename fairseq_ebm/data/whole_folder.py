"""A folder that is there whole or not at all."""

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

OURS = ".{}.fairseq-ebm-"  # and what mkdtemp adds
JUST_MADE = 10  # seconds in which a folder may not be locked yet


@contextmanager
def whole_folder(dest: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``dest`` if nothing goes wrong, and is removed else.

    What earlier processes left behind that were killed is removed as well.
    """
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(dest)
        folder = Path(tempfile.mkdtemp(prefix=OURS.format(dest.name), dir=dest.parent))
    except OSError as error:
        raise UserError(f"--dest: {dest} cannot be made ({error.strerror})") from None
    lock = _locked(folder)
    try:
        umask = os.umask(0)
        os.umask(umask)
        folder.chmod(0o777 & ~umask)  # those that dest is to have
        yield folder
        os.replace(folder, dest)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(folder: Path) -> int:
    """A lock that ends with this process; an OSError if another one holds it."""
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _remove_leftovers(dest: Path) -> None:
    for folder in dest.parent.glob(OURS.format(glob.escape(dest.name)) + "?" * 8):
        with suppress(OSError):  # at work: its process holds the lock
            if time.time() - folder.stat().st_mtime > JUST_MADE:
                lock = _locked(folder)
                shutil.rmtree(folder)
                os.close(lock)
