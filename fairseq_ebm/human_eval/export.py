"""Prompts and their continuations onto a page, and its key beside it."""

from collections.abc import Sequence
from typing import Optional

from ..errors import UserError
from ..files import sha256_of
from ..options import Record
from ..provenance import versions
from ..records import read_json, write_json
from .ballots import FORMAT_VERSION
from .options import Export, Pair
from .page import REAL, SHUFFLED, Prompts, compose, identical, page, shown
from .prompts import named, read_prompts

RECORDED = ("num_items", "qualification", "bold_words", "seed", "title")


def export(options: Export) -> Record:
    pairs = options.pair or ((REAL, "base") if options.qualification else ("joint", "base"),)
    files = [named(text) for text in options.pools]
    prompts = read_prompts(files)
    _require_pairs(pairs, prompts, options.qualification)
    check = None if options.qualification else _check(options.check_against, pairs, prompts)
    comparisons = compose(prompts, pairs, options.num_items, options.seed, check)
    name, items = shown(comparisons, options.bold_words)
    same_words = identical(prompts, pairs)
    pools = [{"name": of, "sha256": sha256_of(path)} for of, path in files]
    made = {"pools": pools, "identical": same_words, "check": list(check) if check else None}
    key = {
        "kind": "key",
        "format_version": FORMAT_VERSION,
        "page": name,
        "pairs": [list(each) for each in pairs],
        "items": [each.item._asdict() for each in comparisons],
        "provenance": {**made, "options": options.recorded(*RECORDED), "versions": versions()},
    }
    beside = options.dest.with_suffix(".key.json")
    if beside.exists() and read_json(beside).get("page") != name:
        other = f"{beside} is the key of another page, whose votes need it"
        raise UserError(f"--dest: {other}; choose another name")
    options.dest.parent.mkdir(parents=True, exist_ok=True)
    options.dest.write_text(page(options.title, name, items), encoding="utf-8")
    write_json(key, beside)
    checks = sum(each.item.answer is not None for each in comparisons)
    counts = {"items": len(comparisons), "checks": checks, "identical": same_words}
    return {"kind": "page", "page": str(options.dest), "key": str(beside), **counts}


def _require_pairs(pairs: Sequence[Pair], prompts: Prompts, qualification: bool) -> None:
    for names in pairs:
        for name in names:
            _require_system(name, "--pair", prompts)
        if qualification and REAL not in names:
            raise UserError(f"--pair: {','.join(names)}: --qualification compares with real text")
    if len({frozenset(names) for names in pairs}) < len(pairs):
        raise UserError("--pair: the same pair twice")


def _check(against: Optional[str], pairs: Sequence[Pair], prompts: Prompts) -> Pair:
    """What a check shows: real text, and by default what the first of the pairs has second."""
    name = against or next(name for name in reversed(pairs[0]) if name != REAL)
    if name != SHUFFLED:
        _require_system(name, "--check-against", prompts)
    if name == REAL:
        raise UserError("--check-against: real text against itself has no known answer")
    return REAL, name


def _require_system(name: str, flag: str, prompts: Prompts) -> None:
    systems = prompts[0].texts
    if name not in systems:
        raise UserError(f"{flag}: '{name}' is none of {', '.join(systems)}")
