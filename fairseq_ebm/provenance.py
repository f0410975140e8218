"""What made a record: the hashes of its models, the versions of the software."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Dict

from .options import Machine
from .version import __version__


def versions(*libraries: str) -> Dict[str, str]:
    ours = {"fairseq_ebm": __version__, "python": platform.python_version()}
    return {**ours, **{name: version(name) for name in libraries}}


def provenance(options: Any, models: Mapping[str, Any], **more: Any) -> Dict[str, Any]:
    """``models``: by what they are here, each with its ``sha256`` and ``architecture``, or None."""
    found = {
        name: {"sha256": model.sha256, "architecture": model.architecture}
        for name, model in models.items()
        if model is not None
    }
    precision = {"precision": options.precision} if isinstance(options, Machine) else {}
    return {**found, **more, **precision, "seed": options.seed, "versions": versions("torch")}
