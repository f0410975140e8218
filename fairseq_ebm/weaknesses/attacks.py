"""What anyone can do to generated text without a model, and how much of it an energy must see.

An attack is a function of a text, of the share of places that it changes, and of a source of random
numbers. It says nothing about tokens: the text that it leaves is encoded again."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random
from typing import Callable, Dict, List, NamedTuple, Optional, Protocol

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ..data.tokenizers import Tokenizer
from ..detection.metrics import Scores, thresholds
from ..detection.stores import require_finite
from ..negatives.store import NegativesSubset
from ..numerics.discrimination import balanced_accuracy, credit_above
from ..options import Record
from .perturbations import Judge, mean
from .units import editable, padded, stacked


class Attack(Protocol):
    def __call__(self, text: str, share: float, random: Random) -> str: ...


LETTER = r"[^\W\d_]"
LATIN = "aceijopsxyABCEHIJKMOPSTX"
CYRILLIC = (
    "\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0445\u0443"
    "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0405\u0422\u0425"
)
LOOK_ALIKES = dict(zip(LATIN, CYRILLIC))


def _somewhere(pattern: str, change: Callable[[str, Random], str]) -> Attack:
    """Changes each match of ``pattern`` with a probability, the share."""

    def attack(text: str, share: float, random: Random) -> str:
        def place(match: "re.Match[str]") -> str:
            return change(match[0], random) if random.random() < share else match[0]

        return re.sub(pattern, place, text)

    return attack


def _other_digit(digit: str, random: Random) -> str:
    return str((int(digit) + 1 + int(9 * random.random())) % 10)


ATTACKS: Dict[str, Attack] = {
    "homoglyphs": _somewhere(f"[{''.join(LOOK_ALIKES)}]", lambda c, _: LOOK_ALIKES[c]),
    "zero-width spaces": _somewhere(f"(?<={LETTER})(?={LETTER})", lambda *_: "\u200b"),
    "double spaces": _somewhere(" ", lambda *_: "  "),
    "lower case": _somewhere(LETTER, lambda c, _: c.lower()),
    "no articles": _somewhere(r"\b(?i:an?|the) ", lambda *_: ""),
    "other digits": _somewhere("[0-9]", _other_digit),
}


RANDOM = "random symbols"


class MarkedWindow(NamedTuple):
    """A window (T,) and which part of it is judged real or generated; the rest is context."""

    window: np.ndarray
    part: slice


class WindowPairs(NamedTuple):
    """Real windows and generated ones in their place: (W, T) and the same parts of both."""

    real: List[MarkedWindow]
    generated: List[MarkedWindow]


def texts_of(subset: NegativesSubset, members: Sequence[int]) -> WindowPairs:
    """Windows of a store, and the first negative of each."""
    texts = WindowPairs([], [])
    for i in members:
        example = subset[i]
        length, prefix = len(example.real), example.prefix_length
        part = slice(0, length - prefix) if subset.manifest.right_to_left else slice(prefix, length)
        texts.real.append(MarkedWindow(example.real, part))
        texts.generated.append(MarkedWindow(example.negatives[0], part))
    return texts


def scores(texts: WindowPairs, energy: Judge, members: Sequence[int]) -> Scores:
    """Of the texts as they are; an error if one is not finite."""
    real, generated = (energy(stacked([text.window for text in some])).numpy() for some in texts)
    require_finite("--path: the energy", np.stack([real, generated], axis=1), np.array(members))
    return Scores(real, generated)


def best_threshold(valid: Scores) -> Optional[float]:
    """That of the best balanced accuracy; None if no threshold is better than chance."""
    found = thresholds(valid).accuracy
    return found if found is not None and np.isfinite(found) else None


def rewritten(text: MarkedWindow, tokenizer: Tokenizer, change: Callable[[str], str]) -> np.ndarray:
    """The window (T,) with its part as text, changed, in tokens again. What is then too long loses
    what is furthest from the context; what is too short is padded at the end."""
    window, (start, end) = text.window, text.part.indices(len(text.window))[:2]
    own, eos = window[start:end], tokenizer.dictionary.eos()
    first, *rest = np.split(own, np.flatnonzero(own == eos))
    lines = [first, *(line[1:] for line in rest)]
    encoded = tokenizer.encode([change(tokenizer.decode(line)) for line in lines])
    joined = [encoded[0], *(np.concatenate([[eos], line]) for line in encoded[1:])]
    whole = np.concatenate([window[:start], *joined, window[end:]])
    if not len(whole):
        return window
    kept = whole[: len(window)] if end == len(window) else whole[-len(window) :]
    return padded(kept, len(window), tokenizer.dictionary.pad())


def attacked(
    texts: WindowPairs,
    tokenizer: Tokenizer,
    energy: Judge,
    share: float,
    threshold: float,
    seed: int,
) -> Iterator[Record]:
    """A row for the text as it is, for what encoding it again does alone, for symbols at random in
    its place (P2, section 5.6), and for each attack.

    Models do not always spell as the tokenizer would: only the second row is what attacks can be
    compared with. Real text stays as it is."""
    real, original = (stacked([text.window for text in some]) for some in texts)
    of_real = energy(real)

    def row(name: str, before: Tensor, after: Tensor) -> Record:
        changed = float((before != after).any(dim=1).double().mean())  # of the windows
        return {"attack": name, "changed": changed, **judged(of_real, energy(after), threshold)}

    yield row("none", original, original)
    again = stacked([rewritten(text, tokenizer, str) for text in texts.generated])
    yield row("encoded again", original, again)
    yield row(RANDOM, original, stacked(list(randomised(texts.generated, tokenizer, seed))))
    for name, attack in ATTACKS.items():
        windows = []
        for i, text in enumerate(texts.generated):
            change = partial(attack, share=share, random=Random(f"{seed}/{name}/{i}"))
            windows.append(rewritten(text, tokenizer, change))
        yield row(name, again, stacked(windows))


def randomised(
    texts: Sequence[MarkedWindow], tokenizer: Tokenizer, seed: int
) -> Iterator[np.ndarray]:
    """Windows (T,) whose part is symbols drawn at random, all with equal probability."""
    symbols = np.flatnonzero(editable(tokenizer).numpy())
    for i, text in enumerate(texts):
        window, random = text.window.copy(), Random(f"{seed}/{RANDOM}/{i}")
        window[text.part] = random.choices(symbols, k=len(window[text.part]))
        yield window


def by_visible_tokens(
    texts: WindowPairs, lengths: Sequence[int], energy: Judge, threshold: float, padding: int
) -> Iterator[Record]:
    """A row for each length: what the energy tells from the first so many tokens after the context.

    Windows whose continuation is shorter are left out. The context must stand in front."""
    for length in lengths:
        some = ([t for t in each if len(t.window) - t.part.start >= length] for each in texts)
        shown = (stacked([cut(text, length, padding) for text in each]) for each in some)
        real, generated = map(energy, shown)
        row = {"visible_tokens": length, "num_windows": len(real)}
        yield {**row, **judged(real, generated, threshold)}


def cut(text: MarkedWindow, length: int, padding: int) -> np.ndarray:
    """The context, ``length`` tokens after it, and padding: (T,)"""
    return padded(text.window[: text.part.start + length], len(text.window), padding)


def judged(real: Tensor, generated: Tensor, threshold: float) -> Record:
    """How well energies (N,) and (M,) are told apart; AUROC needs no threshold."""
    labels = [0] * len(real) + [1] * len(generated)
    return {
        "accuracy": balanced_accuracy(real, generated, threshold),
        "found": float(credit_above(generated, threshold).mean()),
        "auroc": float(roc_auc_score(labels, torch.cat([real, generated]).numpy())),
        "energy": mean(generated),
    }
