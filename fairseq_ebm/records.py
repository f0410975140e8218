"""Records: frozen dataclasses that leave programs as JSON and come back from it."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, Dict, Union

from .errors import UserError


def write_json(record: Any, path: Union[str, Path]) -> None:
    """Writes a dataclass instance, or what JSON knows, whole or not at all: a temporary name first,
    then renamed."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # several may write the same
    is_record = dataclasses.is_dataclass(record) and not isinstance(record, type)
    value = dataclasses.asdict(record) if is_record else record
    text = json.dumps(value, indent=2, ensure_ascii=True)
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read_json(path: Union[str, Path]) -> Dict[str, Any]:
    """The JSON object in a file that one of our programs should have written."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object")
    return value
