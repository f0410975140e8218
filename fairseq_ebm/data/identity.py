"""Which text a prepared split holds: the SHA-256 of its tokens, ``{split}.bin``.

``{split}.idx`` holds the lengths of documents and no tokens: different texts may share one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, Optional

from ..files import sha256_of
from ..records import read_json
from .prepare import FORMAT_VERSION, RECORD_NAME

LARGE = 2**30  # bytes: hashing them takes a second or two
SHOWN = 12  # digits of a hash in a message


def token_hashes(data: Path) -> Dict[str, str]:
    """Of every split in ``data``, whatever its name."""
    return {path.stem: token_hash(data, path.stem) for path in sorted(data.glob("*.bin"))}


def token_hash(data: Path, split: str) -> str:
    """Computed from the tokens; for texts above ``LARGE``, taken from prepare.json if possible."""
    path = data / f"{split}.bin"
    size = path.stat().st_size
    return (size > LARGE and _recorded(data, split, size)) or sha256_of(path)


def _recorded(data: Path, split: str, size: int) -> Optional[str]:
    path = data / RECORD_NAME
    record = read_json(path) if path.exists() else {}
    counts = record.get("splits", {}).get(split)
    if record.get("format_version") != FORMAT_VERSION or counts is None:
        return None
    is_as_written = size in (2 * counts["tokens"], 4 * counts["tokens"])  # of 16 or 32 bits
    return str(counts["tokens_sha256"]) if is_as_written else None


def other_text(before: Mapping[str, Any], now: Mapping[str, Any]) -> Optional[str]:
    """The first split in which two results of ``token_hashes`` differ, in words."""
    for split in sorted({*before, *now}):
        old, new = before.get(split), now.get(split)
        if old == new:
            continue
        if old is None or new is None:
            return f"split ({', '.join(before) or 'none'}, now {', '.join(now) or 'none'})"
        return f"{split} (SHA-256 of its tokens {old[:SHOWN]}…, now {new[:SHOWN]}…)"
    return None
