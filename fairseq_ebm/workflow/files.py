"""YAML files, and what must be in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict

import yaml

from ..errors import UserError

Names = Mapping[str, Any]  # in a file, with what stands below them

WHAT = {"stages": "their commands", "words": "what they stand for"}
KINDS = {list: "a list", dict: "more names", type(None): "nothing"}


def read_yaml(path: Path) -> Dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    return content if isinstance(content, dict) else {}


def section(path: Path, content: Names, name: str, needed: bool = False) -> Any:
    """The names in a section; none where it may be left out."""
    found = content.get(name)
    if found is None and not needed:
        return {}
    if name not in content:
        raise UserError(f"{path}: has no section {name}")
    if not isinstance(found, dict):
        what, kind = WHAT.get(name, "their settings"), KINDS.get(type(found), f"'{found}'")
        raise UserError(f"{path}: {name}: names with {what} are wanted, not {kind}")
    return found
