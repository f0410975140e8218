"""Which text a prepared split is: the SHA-256 of its tokens.

Of ``{split}.bin``, that is; ``{split}.idx`` holds the lengths of documents and no token, and
different texts may well have the same one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, Optional

from ..files import sha256_of
from ..records import read_json
from .prepare import FORMAT_VERSION, RECORD_NAME

LARGE = 2**30  # bytes: a second or two
SHOWN = 12  # digits of a hash in a message


def token_hashes(data: Path) -> Dict[str, str]:
    """Of every split that there is, whatever it is called."""
    return {path.stem: token_hash(data, path.stem) for path in sorted(data.glob("*.bin"))}


def token_hash(data: Path, split: str) -> str:
    """Read from the tokens; of texts so large that this takes time, as prepare.json has it."""
    is_large = _file(data, split).stat().st_size > LARGE
    return (_recorded(data, split) if is_large else None) or sha256_of(_file(data, split))


def _file(data: Path, split: str) -> Path:
    return data / f"{split}.bin"


def _recorded(data: Path, split: str) -> Optional[str]:
    path = data / RECORD_NAME
    record = read_json(path) if path.exists() else {}
    counts = record.get("splits", {}).get(split)
    if record.get("format_version") != FORMAT_VERSION or counts is None:
        return None
    size, tokens = _file(data, split).stat().st_size, counts["tokens"]
    is_what_was_written = size in (2 * tokens, 4 * tokens)  # tokens of 16 or 32 bits
    return str(counts["tokens_sha256"]) if is_what_was_written else None


def other_text(before: Mapping[str, Any], now: Mapping[str, Any]) -> Optional[str]:
    """Of two results of ``token_hashes``: the first split in which they differ, in words."""
    for split in sorted({*before, *now}):
        was, becomes = before.get(split), now.get(split)
        if was == becomes:
            continue
        if was is None or becomes is None:
            return f"split ({', '.join(before) or 'none'}, now {', '.join(now) or 'none'})"
        return f"{split} (SHA-256 of its tokens {_shown(was)}, now {_shown(becomes)})"
    return None


def _shown(digest: str) -> str:
    return f"{digest[:SHOWN]}…"
