"""What perturbations change: tokens of the vocabulary, or words of the text."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Protocol

import numpy as np
import torch
from torch import Tensor

from ..data.hugging_face import HuggingFaceTokenizer
from ..data.tokenizers import NUM_SPECIAL, Tokenizer
from ..errors import UserError

WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


class Unit(Protocol):
    """What is changed: of ``Tokens`` a symbol's index, of ``Words`` a word. Places (W,) are those
    of tokens, from 0, one in each of the windows (W, T)."""

    def prepared(self, windows: Tensor) -> Tensor:
        """The windows to compare with: what is not changed stands in them as in changed ones."""

    def read(self, word: str, flag: str) -> Any:
        """The unit that a user calls so."""

    def text(self, unit: Any) -> str: ...

    def by_frequency(self, windows: Tensor) -> List[Any]:
        """All that stand in the windows, the most frequent first."""

    def first_place(self, window: Tensor, unit: Any) -> Optional[int]:
        """In a window (T,)."""

    def replaced(self, windows: Tensor, places: Sequence[int], unit: Any) -> Tensor:
        """With ``unit`` at those places."""

    def swapped(self, windows: Tensor, places: Sequence[int]) -> Tensor:
        """With the unit after it; the last one with the unit before it."""


class Tokens:
    """Of the vocabulary, whatever they spell."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def prepared(self, windows: Tensor) -> Tensor:
        return windows

    def read(self, word: str, flag: str) -> int:
        """One token, after a space or without one."""
        for encoded in self.tokenizer.encode([f" {word}", word]):
            if len(encoded) == 1 and encoded[0] != self.tokenizer.dictionary.unk():
                return int(encoded[0])
        raise UserError(f"{flag}: '{word}' is not one token; choose another word, or --unit word")

    def text(self, unit: int) -> str:
        return self.tokenizer.decode([unit])

    def by_frequency(self, windows: Tensor) -> List[int]:
        """No special symbols."""
        counts = torch.bincount(windows.flatten())
        counts[:NUM_SPECIAL] = 0
        order = counts.argsort(descending=True, stable=True)
        return order[: int((counts > 0).sum())].tolist()

    def first_place(self, window: Tensor, unit: int) -> Optional[int]:
        places = (window == unit).nonzero()
        return int(places[0]) if len(places) else None

    def replaced(self, windows: Tensor, places: Sequence[int], unit: int) -> Tensor:
        others = windows.clone()
        others[torch.arange(len(windows)), torch.tensor(places)] = unit
        return others

    def swapped(self, windows: Tensor, places: Sequence[int]) -> Tensor:
        rows, here = torch.arange(len(windows)), torch.tensor(places)
        last = windows.size(1) - 1
        there = torch.where(here < last, here + 1, (here - 1).clamp(min=0))
        others = windows.clone()
        others[rows, here], others[rows, there] = windows[rows, there], windows[rows, here]
        return others


class Spot(NamedTuple):
    """A word of a window: tokens ``start`` to ``stop`` are the line that it stands in."""

    start: int
    stop: int
    text: str
    words: List["re.Match[str]"]  # of the line
    which: int  # of them it is


Change = Callable[[Spot], str]  # a word -> its line, changed


class Words:
    """Letters and digits between others. The line of a changed word is encoded again: what is then
    too long loses its end, and what is too short is padded there."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.eos, self.pad = tokenizer.dictionary.eos(), tokenizer.dictionary.pad()

    def prepared(self, windows: Tensor) -> Tensor:
        """Encoded again, which alone may change tokens where a window cuts a word."""
        return self._as_long(windows, map(self._again, windows.numpy()))

    def read(self, word: str, flag: str) -> str:
        if WORD.fullmatch(word) is None:
            raise UserError(f"{flag}: '{word}' is not one word of letters or digits")
        return word

    def text(self, unit: str) -> str:
        return unit

    def by_frequency(self, windows: Tensor) -> List[str]:
        lines = (self._text(w, *line) for w in windows.numpy() for line in self._lines(w))
        counts = Counter(word for line in lines for word in WORD.findall(line))
        return [word for word, _ in counts.most_common()]

    def first_place(self, window: Tensor, unit: str) -> Optional[int]:
        array = window.numpy()
        spots = ((place, self.spot(array, place)) for place in range(len(array)))
        return next((p for p, s in spots if s and s.words[s.which][0] == unit), None)

    def replaced(self, windows: Tensor, places: Sequence[int], unit: str) -> Tensor:
        def change(spot: Spot) -> str:
            start, stop = spot.words[spot.which].span()
            return spot.text[:start] + unit + spot.text[stop:]

        return self._changed(windows, places, change)

    def swapped(self, windows: Tensor, places: Sequence[int]) -> Tensor:
        def change(spot: Spot) -> str:
            text, first = spot.text, min(spot.which, len(spot.words) - 2)
            if first < 0:
                return text
            (a, b), (c, d) = (word.span() for word in spot.words[first : first + 2])
            return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]

        return self._changed(windows, places, change)

    def spot(self, window: np.ndarray, place: int) -> Optional[Spot]:
        """The word that a token belongs to, or the next one in its line, or the nearest before."""
        found = None
        for start, stop in self._lines(window):
            text = self._text(window, start, stop)
            words = list(WORD.finditer(text))
            if words:
                before = len(self._text(window, start, min(max(place, start), stop)))
                later = (i for i, word in enumerate(words) if word.end() > before)
                found = Spot(start, stop, text, words, next(later, len(words) - 1))
                if place < stop:
                    break
        return found

    def _lines(self, window: np.ndarray) -> "List[tuple[int, int]]":
        """(start, stop) of what stands between the ends of documents."""
        size = int((window != self.pad).sum())
        ends = [i for i in range(size) if window[i] == self.eos]
        return list(zip([0, *(end + 1 for end in ends)], [*ends, size]))

    def _text(self, window: np.ndarray, start: int, stop: int) -> str:
        return self.tokenizer.decode(window[start:stop].tolist())

    def _changed(self, windows: Tensor, places: Sequence[int], change: Change) -> Tensor:
        def changed(window: np.ndarray, place: int) -> np.ndarray:
            spot = self.spot(window, place)
            if spot is None:  # no word in it
                return window
            (line,) = self.tokenizer.encode([change(spot)])
            return np.concatenate([window[: spot.start], line, window[spot.stop :]])

        return self._as_long(windows, map(changed, windows.numpy(), places))

    def _again(self, window: np.ndarray) -> np.ndarray:
        lines = self.tokenizer.encode([self._text(window, *line) for line in self._lines(window)])
        return np.concatenate([part for line in lines for part in (line, [self.eos])][:-1])

    def _as_long(self, windows: Tensor, changed: Iterable[np.ndarray]) -> Tensor:
        """Windows of whatever length a change left, cut or padded: (W, T)"""
        size = windows.size(1)
        return stacked([padded(tokens[:size], size, self.pad) for tokens in changed])


def padded(tokens: np.ndarray, length: int, padding: int) -> np.ndarray:
    return np.pad(tokens.astype(np.int64), (0, length - len(tokens)), constant_values=padding)


def stacked(windows: Sequence[np.ndarray]) -> Tensor:
    """W windows of T tokens -> (W, T)"""
    return torch.from_numpy(np.stack(windows))


UNITS: Dict[str, Callable[[Tokenizer], Unit]] = {"token": Tokens, "word": Words}


def editable(tokenizer: Tokenizer) -> Tensor:
    """The symbols that text is made of (V,): neither special, nor fairseq's filling of a dictionary
    up to a round size."""
    filling = [symbol.startswith("madeupword") for symbol in tokenizer.dictionary.symbols]
    found = torch.tensor([i >= NUM_SPECIAL and not fills for i, fills in enumerate(filling)])
    if isinstance(tokenizer, HuggingFaceTokenizer):
        found[tokenizer.symbols.no_text] = False
    return found
