"""Generic text with a known part of the right kind, and specific text of that kind."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import List

from fairseq_ebm.cli.main import ending
from fairseq_ebm.cli.parser import parse
from fairseq_ebm.data.sources import built_in_corpus, text_digest
from fairseq_ebm.options import REQUIRED, Quiet, file, whole

MINE, WIDE = "pydocs", "pysource"


@dataclass(frozen=True)
class Arguments(Quiet):
    """Generic text with a known part of the right kind, and specific text of that kind.

    DEST/code.jsonl and docs.jsonl, together generic.jsonl, are the generic text: source code of
    Python, and so many documents of its documentation. DEST/specific.*.jsonl: other documents of
    the same documentation, few in train and valid, all of the corpus's own in test.
    DEST/generic.valid.jsonl is held out of both, in the proportion of the generic text.
    """

    dest: Path = file(REQUIRED, "folder for the texts", "DEST", argument=True)
    code: int = whole(10**6, "files of source code, at most", 1)
    docs: int = whole(2500, "documents of the right kind in the generic text", 1)
    specific: int = whole(300, "specific documents, half to learn from, half for validation", 2)
    held_out: int = whole(150_000, "characters of the generic text held out", 1)


def write(path: Path, texts: Sequence[str]) -> None:
    lines = (json.dumps({"text": text}) + "\n" for text in texts)
    path.write_text("".join(lines), encoding="utf-8")


def up_to(texts: Sequence[str], characters: float) -> List[str]:
    """As many as come first, the last of them cut."""
    kept: List[str] = []
    for text in texts:
        kept.append(text[: max(0, int(characters))])
        characters -= len(text)
        if characters <= 0:
            break
    return kept


def main(options: Arguments) -> None:
    mine, wide = (built_in_corpus(name, digits=10, seed=1) for name in (MINE, WIDE))
    ordered = sorted(mine["train"], key=text_digest)  # as good as at random, always the same
    specific, right = ordered[: options.specific], ordered[options.specific :][: options.docs]
    code = wide["train"][: options.code]
    sizes = [sum(map(len, texts)) for texts in (code, right)]
    held_out = [
        text
        for texts, size in zip((wide["valid"], mine["valid"]), sizes)
        for text in up_to(texts, options.held_out * size / sum(sizes))
    ]
    half = options.specific // 2
    texts = {
        "code": code, "docs": right, "generic": [*code, *right],
        "generic.valid": held_out, "specific.train": specific[:half],
        "specific.valid": specific[half:], "specific.test": mine["test"],
    }  # fmt: skip
    options.dest.mkdir(parents=True, exist_ok=True)
    for name, some in texts.items():
        write(options.dest / f"{name}.jsonl", some)
    if not options.quiet:
        share = f"{sizes[1] / sum(sizes):.1%} of {sum(sizes):,} characters are of the right kind"
        print(f"generic: {share}; specific: {half} documents to learn from")


if __name__ == "__main__":
    asked = parse("texts.py", Arguments, sys.argv[1:])
    with ending("texts.py", asked):
        main(asked)
