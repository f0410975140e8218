"""Files: their hashes, and writing them completely or not at all."""

import hashlib
import os
import zipfile
from pathlib import Path
from typing import List

from .errors import UserError


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def visible_in(folder: Path) -> List[Path]:
    """All that is in a folder and those within, in order; nothing in or below what is hidden."""
    names = ((path, path.relative_to(folder).parts) for path in sorted(folder.rglob("*")))
    return [path for path, parts in names if not any(part.startswith(".") for part in parts)]


def require_complete(path: Path, flag: str) -> None:
    """Or a checkpoint was cut off: it is a zip archive, with its table of contents at the end."""
    with path.open("rb") as file:
        is_archive = file.read(4) == b"PK\x03\x04"
    if is_archive and not zipfile.is_zipfile(path):
        raise UserError(f"{flag}: {path}: cut off; it was not written, or not copied, to its end")


def write_whole(path: Path, content: bytes) -> None:
    """Under a temporary name first: several processes may write the same, and any may be killed."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
