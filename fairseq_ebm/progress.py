"""Progress bars on standard error, if that is a terminal or a log that someone reads."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Optional, TypeVar

T = TypeVar("T")
LOGGED_EVERY = 10.0  # seconds
_logged = False
_quiet = False


def log_progress() -> None:
    """For whoever reads the log of this process while it works."""
    global _logged  # noqa: PLW0603 (as standard error, a matter of the whole process)
    _logged = True


@contextmanager
def silence(quiet: bool) -> Iterator[None]:
    """No bars meanwhile, if ``quiet``."""
    global _quiet  # noqa: PLW0603
    before, _quiet = _quiet, quiet
    try:
        yield
    finally:
        _quiet = before


def progress(
    items: Iterable[T], label: str, total: Optional[int] = None, done: int = 0
) -> Iterable[T]:
    """A bar; ``done`` of the ``total`` are so already."""
    from tqdm import tqdm  # noqa: PLC0415 (not for a wrong flag)

    terminal, is_large = sys.stderr.isatty(), total is None or total > 9999
    hidden, often = _quiet or not (terminal or _logged), 0.1 if terminal else LOGGED_EVERY
    look = {"leave": False, "dynamic_ncols": True, "unit": "", "unit_scale": is_large}
    about = {"desc": label, "total": total, "initial": done}
    bar: Iterable[T] = tqdm(items, **about, disable=hidden, mininterval=often, **look)
    return bar
