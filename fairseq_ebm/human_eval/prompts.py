"""What people are to rate: prompts with their continuations, from fairseq-generate's records."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Dict, List, Tuple

from ..errors import UserError
from ..joint.pools import read_pools
from ..options import Record
from ..progress import progress
from .page import REAL, Prompts, RatedPrompt


def named(text: str) -> Tuple[str, Path]:
    """NAME=FILE -> (NAME, FILE); a file without a name has the name ""."""
    match = re.fullmatch(r"([\w-]+)=(.+)", text, re.DOTALL)
    if match is None or Path(text).exists():
        return "", Path(text)
    return match[1], Path(match[2])


def read_prompts(files: Sequence[Tuple[str, Path]]) -> List[RatedPrompt]:
    """Those that are under every name, with the texts of all."""
    groups: Dict[str, Dict[int, RatedPrompt]] = {}
    for name, path in files:
        group = groups.setdefault(name, {})
        for record in progress(read_pools(path, with_real=True), path.name):
            prompt = prompt_of(record, f"{name}." if name else "")
            if prompt.number in group:
                raise UserError(f"{path}: prompt {prompt.number} for the second time")
            group[prompt.number] = prompt
    first, *others = groups.values()
    shared = [i for i in first if all(i in other for other in others)]
    if not shared:
        raise UserError(f"{files[0][1]}: no prompts in it, or none that the others have")
    return [merged([group[i] for group in groups.values()]) for i in shared]


def prompt_of(record: Record, prefix: str) -> RatedPrompt:
    ours = {"joint": record["draws"][0]["text"], "base": record["base_text"]}
    texts = {prefix + name: text for name, text in ours.items()}
    return RatedPrompt(record["id"], record["prompt"], {**texts, REAL: record["real"]["text"]})


def merged(prompts: Prompts) -> RatedPrompt:
    """The same prompt, continued by several models."""
    first = prompts[0]
    for other in prompts[1:]:
        if (other.context, other.texts[REAL]) != (first.context, first.texts[REAL]):
            problem = f"prompt {first.number} is another text under another name"
            remedy = "generate with the same data, --window, --stride and --prefix-size"
            raise UserError(f"{problem}; {remedy}")
    texts = {system: text for each in prompts for system, text in each.texts.items()}
    return RatedPrompt(first.number, first.context, texts)
