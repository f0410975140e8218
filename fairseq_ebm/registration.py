"""When this package's tasks, criteria and models are made known to fairseq.

fairseq scans only some of a ``--user-dir``'s folders, and none of a package that is imported
already. Importing all of them takes seconds, which neither the mathematics alone needs nor a wrong
flag. So they are registered when the package is imported, if fairseq is there by then; else when
one of fairseq's programs is imported, which no module of this package does: while one of ours is
half imported, registering would import it again.
"""

import logging
import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from typing import Any

PROGRAMS = "fairseq_cli"


def when_fairseq_wants_it() -> None:
    if "fairseq" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, BeforePrograms())


class BeforePrograms(MetaPathFinder):
    """Finds nothing, but registers first."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name == PROGRAMS and self in sys.meta_path:
            sys.meta_path.remove(self)
            register()


def register() -> None:
    """Makes fairseq know this package's tasks, criteria and models; again does nothing."""
    import_fairseq()
    for room in ("criterions", "models", "tasks"):
        import_module(f".{room}", __package__)


def import_fairseq() -> None:
    """As it is, but for what it does to others on its way."""
    # Its speech tasks advise at every start to install what nothing here uses.
    logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)
    # One of its speech models has everyone's debugging messages printed from then on.
    level, handlers = logging.root.level, logging.root.handlers[:]
    import_module("fairseq")
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers
