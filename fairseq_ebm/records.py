"""Records: frozen dataclasses that leave programs as JSON and come back from it.

JSON knows no NaN and no infinity. NaN becomes null; ±infinity the strings "Infinity" and
"-Infinity", which ``float`` in Python and ``Number`` in JavaScript take for what they are.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, Optional, Union

from .errors import UserError
from .files import write_whole


def write_json(record: Any, path: Union[str, Path]) -> None:
    """Writes a dataclass instance, or what JSON knows, completely or not at all."""
    is_record = dataclasses.is_dataclass(record) and not isinstance(record, type)
    value = dataclasses.asdict(record) if is_record else record
    text = strict_json(value, indent=2)
    write_whole(Path(path), f"{text}\n".encode())


def strict_json(value: Any, indent: Optional[int] = None) -> str:
    """JSON that every parser reads."""
    return json.dumps(_strict(value), indent=indent, ensure_ascii=True, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return value


def number_of(value: Union[float, str, None]) -> float:
    """A number that ``strict_json`` has written."""
    return math.nan if value is None else float(value)


def finite(value: Optional[float]) -> Optional[float]:
    """None in place of a number that JSON does not know."""
    return value if value is not None and math.isfinite(value) else None


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


def require_version(record: Mapping[str, Any], version: int, where: object, remedy: str) -> None:
    """What another version of this package has written is refused."""
    found = record.get("format_version") if isinstance(record, Mapping) else None
    if found != version:
        problem = f"format version {found}, but this program reads version {version}"
        raise UserError(f"{where}: {problem}; {remedy}")
