"""What made a record: the hashes of its models, the versions of the software."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Dict

from .options import Machine
from .version import __version__


def versions(*libraries: str) -> Dict[str, str]:
    python = {"python": platform.python_version()} if "python" in libraries else {}
    others = {name: version(name) for name in libraries if name != "python"}
    return {"fairseq_ebm": __version__, **python, **others}


def provenance(given: Any, models: Mapping[str, Any], **more: Any) -> Dict[str, Any]:
    """``given``: the options; ``models``: by what they are here, each None or with its ``sha256``
    and ``architecture``."""
    found = {
        name: {"sha256": model.sha256, "architecture": model.architecture}
        for name, model in models.items()
        if model is not None
    }
    precision = {"precision": given.precision} if isinstance(given, Machine) else {}
    return {**found, **more, **precision, "seed": given.seed, "versions": versions("torch")}
