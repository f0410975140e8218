"""A page on which people compare continuations two by two. It needs nothing else, and does not say
whose a text is: the key does."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from ..analysis.preferences import Item
from ..errors import UserError
from .html import STYLE

EVERY = 4  # items, one of which is a check
LEAST = 8  # different words that a text must have, for their order to be seen to be wrong
REAL, SHUFFLED = "real", "shuffled"
TEMPLATE = Path(__file__).with_suffix(".html")

Pair = Tuple[str, str]


@dataclass(frozen=True)
class Prompt:
    """``texts``: its continuations, by system."""

    number: int
    context: str
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Comparison:
    """What is shown, A and B, and what stands behind it."""

    context: str
    a: str
    b: str
    item: Item


def compose(
    prompts: Sequence[Prompt], pairs: Sequence[Pair], num_items: int, seed: int
) -> List[Comparison]:
    """Items in the order of the page. Pairs take turns, then are shuffled; of every four items one,
    anywhere among them, is a check. No prompt is asked about twice."""
    generator = np.random.Generator(np.random.Philox(key=seed))
    free = [prompts[i] for i in generator.permutation(len(prompts))]
    found: List[Comparison] = []
    for number, pair in enumerate(_order(pairs, num_items, generator), start=1):
        prompt = next((each for each in free if suits(each, pair)), None)
        if prompt is None:
            what = "a check: real text of 8 different words" if pair is None else ",".join(pair)
            raise UserError(
                f"--num-items: {num_items}, but after {len(found)} no prompt is left for {what}; "
                "lower it, or generate for more prompts"
            )
        free.remove(prompt)
        found.append(_comparison(number, prompt, pair, generator))
    return found


def _order(
    pairs: Sequence[Pair], num_items: int, generator: np.random.Generator
) -> List[Optional[Pair]]:
    """None: a check."""
    places = {first + int(generator.integers(EVERY)) for first in range(0, num_items - 3, EVERY)}
    asked = [pairs[i % len(pairs)] for i in range(num_items - len(places))]
    shuffled_pairs = iter([asked[i] for i in generator.permutation(len(asked))])
    return [None if place in places else next(shuffled_pairs) for place in range(num_items)]


def suits(prompt: Prompt, pair: Optional[Pair]) -> bool:
    """For a pair: what can be seen differs. For a check: shuffling can be seen."""
    if pair is None:
        return _unit(prompt.texts[REAL]) is not None
    first, second = (prompt.texts[system].split() for system in pair)
    return first != second


def _comparison(
    number: int, prompt: Prompt, pair: Optional[Pair], generator: np.random.Generator
) -> Comparison:
    texts = dict(prompt.texts)
    if pair is None:
        texts[SHUFFLED] = shuffled(texts[REAL], generator)
    one, other = pair or (REAL, SHUFFLED)
    a, b = (one, other) if generator.random() < 0.5 else (other, one)
    answer = None if pair else "ab"[(a, b).index(REAL)]
    item = Item(number, prompt.number, a, b, answer)
    return Comparison(prompt.context, texts[a], texts[b], item)


def _unit(text: str) -> Optional[str]:
    """What is put in another order: words, or characters if words are too few."""
    units = (r"\S+", r"\S")
    return next((unit for unit in units if len(set(re.findall(unit, text))) >= LEAST), None)


def shuffled(text: str, generator: np.random.Generator) -> str:
    """The same text with its words in another order, and its white space as it was."""
    unit = _unit(text)
    assert unit is not None
    words = re.findall(unit, text)
    others = words
    while others == words:
        others = [words[i] for i in generator.permutation(len(words))]
    rest = iter(others)
    return re.sub(unit, lambda _: next(rest), text)


def shown(comparisons: Sequence[Comparison], bold_words: int) -> Tuple[str, List[Dict[str, str]]]:
    """What the page holds, and a hash of it that is the page's name in votes and key."""
    items: List[Dict[str, str]] = []
    for each in comparisons:
        starts = [word.start() for word in re.finditer(r"\S+", each.context)]
        bold = starts[-bold_words:][0] if bold_words and starts else len(each.context)
        before, last = each.context[:bold], each.context[bold:]
        items.append({"context": before, "last": last, "a": each.a, "b": each.b})
    return hashlib.sha256(json.dumps(items).encode()).hexdigest()[:16], items


def page(title: str, name: str, items: Sequence[Mapping[str, str]]) -> str:
    """``name`` and ``items`` from ``shown``."""
    data = json.dumps({"page": name, "items": items}).replace("<", "\\u003c")  # no </script> in it
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), style=STYLE, data=data)


def identical(prompts: Sequence[Prompt], pairs: Sequence[Pair]) -> List[Dict[str, Any]]:
    """How many prompts cannot be asked about, since both systems go on with the same words."""
    return [
        {
            "pair": list(pair),
            "prompts": len(prompts),
            "identical": sum(not suits(prompt, pair) for prompt in prompts),
        }
        for pair in pairs
    ]
