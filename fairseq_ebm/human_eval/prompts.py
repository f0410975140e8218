"""What people are to rate: prompts with their continuations, from fairseq-generate's records."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Dict, List, Tuple

from ..cli.program import progress
from ..cli.report import lines
from ..errors import UserError
from .page import REAL, Prompt


def named(text: str) -> Tuple[str, Path]:
    """NAME=FILE -> (NAME, FILE); a file without a name has the name ""."""
    match = re.fullmatch(r"([\w-]+)=(.+)", text, re.DOTALL)
    if match is None or Path(text).exists():
        return "", Path(text)
    return match[1], Path(match[2])


def read_prompts(files: Sequence[Tuple[str, Path]], quiet: bool) -> List[Prompt]:
    """Those that stand under every name, with the texts of all."""
    groups: Dict[str, Dict[int, Prompt]] = {}
    for name, path in files:
        group = groups.setdefault(name, {})
        records = progress(lines(path), path.name, None, quiet)
        for number, record in enumerate(records, start=1):
            where = f"{path}: line {number}"
            prompt = prompt_of(record, f"{name}." if name else "", where)
            if prompt.number in group:
                raise UserError(f"{where}: prompt {prompt.number} for the second time")
            group[prompt.number] = prompt
    first, *others = groups.values()
    found = [first[i] for i in first if all(i in other for other in others)]
    if not found:
        raise UserError(f"{files[0][1]}: no prompts in it, or none that the others have")
    return [merged([prompt, *(other[prompt.number] for other in others)]) for prompt in found]


def prompt_of(record: Dict[str, Any], prefix: str, where: str) -> Prompt:
    try:
        number, context, real = record["id"], record["prompt"], record["real"]["text"]
        texts = {"joint": record["draws"][0]["text"], "base": record["base_text"]}
        if not all(isinstance(text, str) for text in (context, real, *texts.values())):
            raise TypeError("a text that is none")
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"{where}: not a prompt with its draws, base_text and what really follows, as "
            f"fairseq-generate --joint-results-path writes it: {error!r}"
        ) from None
    return Prompt(number, context, {**{prefix + k: v for k, v in texts.items()}, REAL: real})


def merged(prompts: Sequence[Prompt]) -> Prompt:
    """The same prompt, continued by several models."""
    first = prompts[0]
    for other in prompts[1:]:
        if (other.context, other.texts[REAL]) != (first.context, first.texts[REAL]):
            raise UserError(
                f"prompt {first.number} is another text under another name; generate with the same "
                "data, --window, --stride and --prefix-size"
            )
    return Prompt(
        first.number, first.context, {k: v for each in prompts for k, v in each.texts.items()}
    )
