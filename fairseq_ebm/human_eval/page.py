"""A page on which people compare continuations two by two. It needs nothing else, and does not say
whose a text is: the key does."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from markupsafe import Markup
from numpy.random import Generator

from ..data.streams import philox
from ..errors import UserError
from ..reports.html import render
from .ballots import Item
from .options import FOUR, Pair

LEAST = 8  # different words that a text must have, for their order to be seen to be wrong
REAL, SHUFFLED = "real", "shuffled"
TEMPLATE = Path(__file__).with_suffix(".html")


class RatedPrompt(NamedTuple):
    """``texts``: its continuations, by system."""

    number: int
    context: str
    texts: Mapping[str, str]


Prompts = Sequence[RatedPrompt]


class Comparison(NamedTuple):
    """What is shown, A and B, and what stands behind it."""

    context: str
    a: str
    b: str
    item: Item


def compose(
    prompts: Prompts, pairs: Sequence[Pair], size: int, seed: int, check: Optional[Pair]
) -> List[Comparison]:
    """Items in the order of the page. Pairs take turns, then are shuffled; of every four items one,
    anywhere among them, is a check, in which real text must be chosen. Without ``check`` there are
    none, and real text must be chosen everywhere.

    No prompt is compared twice. Checks take prompts that are left, then those of other fours; but
    not where a pair shows real text, which a check would give away."""
    if check is not None and size % FOUR:
        raise UserError(f"--num-items: {size} is no multiple of {FOUR}; one of four is a check")
    generator = philox(seed)
    order, checks = _order(pairs, size, check, generator)
    left = [prompts[i] for i in generator.permutation(len(prompts))]
    chosen = {i: _take(left, pair) for i, pair in enumerate(order) if i not in checks}
    if not any(REAL in pair for pair in pairs):
        compared = list(chosen.values())
        left += [compared[i] for i in generator.permutation(len(compared))]
    for place in checks:
        near = [prompt for i, prompt in chosen.items() if i // FOUR == place // FOUR]
        chosen[place] = _take(left, order[place], near)
    return [
        _comparison(i + 1, chosen[i], pair, check is None or i in checks, generator)
        for i, pair in enumerate(order)
    ]


def _order(
    pairs: Sequence[Pair], size: int, check: Optional[Pair], generator: Generator
) -> Tuple[List[Pair], List[int]]:
    """What each item compares, and the places of the checks, from 0."""
    checks = size // FOUR if check else 0
    asked = [pairs[i % len(pairs)] for i in range(size - checks)]
    order = [asked[i] for i in generator.permutation(len(asked))]
    places = [FOUR * i + int(generator.integers(FOUR)) for i in range(checks)]
    if check:
        for place in places:
            order.insert(place, check)
    return order, places


def _take(left: List[RatedPrompt], pair: Pair, near: Prompts = ()) -> RatedPrompt:
    """The first that suits, and is none of those ``near``, which is then left no longer."""
    for i, prompt in enumerate(left):
        if suits(prompt, pair) and prompt not in near:
            return left.pop(i)
    what = "a check: real text of 8 different words" if SHUFFLED in pair else ",".join(pair)
    raise UserError(f"--num-items: no prompt is left for {what}; lower it, or take more prompts")


def suits(prompt: RatedPrompt, pair: Pair) -> bool:
    """What can be seen differs."""
    if SHUFFLED in pair:
        return _unit(prompt.texts[REAL]) is not None
    first, second = (prompt.texts[system].split() for system in pair)
    return first != second


def _comparison(
    number: int, prompt: RatedPrompt, pair: Pair, known: bool, generator: Generator
) -> Comparison:
    """``known``: real text must be chosen."""
    texts = dict(prompt.texts)
    if SHUFFLED in pair:
        texts[SHUFFLED] = shuffled(texts[REAL], generator)
    a, b = pair if generator.random() < 0.5 else pair[::-1]
    answer = "ab"[(a, b).index(REAL)] if known else None
    return Comparison(prompt.context, texts[a], texts[b], Item(number, prompt.number, a, b, answer))


def _unit(text: str) -> Optional[str]:
    """What is put in another order: words, or characters if words are too few."""
    units = (r"\S+", r"\S")
    return next((unit for unit in units if len(set(re.findall(unit, text))) >= LEAST), None)


def shuffled(text: str, generator: Generator) -> str:
    """The same text with its words in another order, and its white space as it was."""
    unit = _unit(text)
    assert unit is not None
    words = others = re.findall(unit, text)
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
    return render(TEMPLATE, title=title, data=Markup(data))


def identical(prompts: Prompts, pairs: Sequence[Pair]) -> List[Dict[str, Any]]:
    """How many prompts cannot be asked about, since both systems go on with the same words."""
    same = {pair: sum(not suits(prompt, pair) for prompt in prompts) for pair in pairs}
    total = len(prompts)
    return [{"pair": list(pair), "prompts": total, "identical": n} for pair, n in same.items()]
