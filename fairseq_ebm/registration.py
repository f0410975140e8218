"""When this package's tasks, criteria and models are made known to fairseq.

fairseq scans only some of a ``--user-dir``'s folders, and none of a package that is imported
already. Importing all of them takes seconds, which neither the mathematics alone needs nor a wrong
flag. So they are registered when the package is imported, if fairseq is there by then; else when
fairseq is. If that happens while one of our own modules is half imported, registering would import
it again: then a verb, a checkpoint that is read, or one of fairseq's programs does it.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Optional

ROOMS = ("criterions", "models", "tasks")


def when_fairseq_wants_it() -> None:
    if "fairseq" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, Watch())


def register() -> None:
    """Makes fairseq know this package's tasks, criteria and models; again does nothing."""
    for room in ROOMS:
        import_module(f".{room}", __package__)


class Watch(MetaPathFinder):
    """Registers after fairseq's import and before its programs'."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Optional[ModuleSpec]:
        if name == "fairseq_cli":
            register()
        spec = PathFinder.find_spec(name, path) if name == "fairseq" else None
        if spec is not None and spec.loader is not None:
            spec.loader = Quietly(spec.loader)
        return spec


class Quietly(Loader):
    """Imports fairseq as it is, but for what that does to everyone's logging."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        module: Optional[ModuleType] = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        with logging_as_it_was():
            self._loader.exec_module(module)
        if not any(_is_half_imported(name) for name in list(sys.modules)):
            register()


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    # Its speech tasks advise at every start to install what nothing here uses.
    logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)
    # One of its speech models has everyone's debugging messages printed from then on.
    before = logging.root.level, logging.root.handlers[:]
    try:
        yield
    finally:
        logging.root.setLevel(before[0])
        logging.root.handlers[:] = before[1]


def _is_half_imported(name: str) -> bool:
    spec = getattr(sys.modules[name], "__spec__", None)
    return name.startswith(f"{__package__}.") and bool(getattr(spec, "_initializing", False))
