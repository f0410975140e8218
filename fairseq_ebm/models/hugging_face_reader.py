"""How a Hugging Face energy reads windows: as its own symbols, where the data has the same
tokenizer, else as the text that they spell.

E is then a function of that text: two windows that spell the same have one energy, and the
mathematics of energies holds as it stands. Half a character reads as U+FFFD, </s> as a line feed.
"""

import os
from dataclasses import dataclass
from typing import Any, List, Tuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..data.hugging_face import HuggingFaceTokenizer
from ..data.tokenizers import Tokenizer

NOTHING = -1  # in place of a symbol: there is none


@dataclass(frozen=True)
class Template:
    """What stands around a text, in the model's numbers; and how many symbols it reads in all."""

    before: Tuple[int, ...]
    after: Tuple[int, ...]
    limit: int

    @property
    def room(self) -> int:
        return self.limit - len(self.before) - len(self.after)


def template_of(tokenizer: HuggingFaceTokenizer, limit: int) -> Template:
    """As the tokenizer itself surrounds texts; at least by what starts one."""
    (word, *_) = tokenizer.backend.encode("a", add_special_tokens=False).ids
    around = tokenizer.backend.encode("a").ids
    place = around.index(word)
    after = len(tokenizer.backend.encode("a", add_special_tokens=False).ids) + place
    before = tuple(around[:place]) or (tokenizer.symbols.start,)
    return Template(before, tuple(around[after:]), limit)


class SymbolReader:
    """Windows whose symbols are the model's, by another number."""

    def __init__(self, tokenizer: HuggingFaceTokenizer, template: Template, padding: int) -> None:
        self.template, self._padding = template, padding
        self._ids = torch.from_numpy(tokenizer.symbols.read_as())

    def __call__(self, windows: Tensor) -> Tensor:
        """(N, T) -> (N, S) with ``NOTHING`` at the end of shorter ones, on the same device"""
        inner = self.ids(windows.device)[windows].masked_fill(windows == self._padding, NOTHING)
        before, after = (
            inner.new_tensor(ids).expand(len(inner), -1)
            for ids in (self.template.before, self.template.after)
        )
        whole = torch.cat([before, inner, torch.full_like(after, NOTHING)], dim=1)
        if after.size(1):
            lengths = (inner != NOTHING).sum(dim=1, keepdim=True) + before.size(1)
            places = lengths + torch.arange(after.size(1), device=inner.device)
            whole = whole.scatter(1, places, after)
        return whole

    def ids(self, device: torch.device) -> Tensor:
        """(V,): the model's number of each of the data's symbols."""
        with torch.inference_mode(False):  # kept, and used where gradients are
            self._ids = self._ids.to(device)
        return self._ids


class TextReader:
    """Windows as text. Long ones are cut at the beginning: continuations are at the end."""

    def __init__(
        self, data: Tokenizer, own: HuggingFaceTokenizer, template: Template, padding: int
    ) -> None:
        self.template, self._data, self._own, self._padding = template, data, own, padding
        # Batches are read in worker processes, each of which is one of several already.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    def __call__(self, windows: Tensor) -> Tensor:
        """(N, T) -> (N, S) with ``NOTHING`` at the end of shorter ones, on the CPU"""
        texts = [self.text(window) for window in windows.cpu().numpy()]
        before, after, room = self.template.before, self.template.after, self.template.room
        encoded = self._own.backend.encode_batch(texts, add_special_tokens=False)
        rows = [torch.tensor([*before, *_last(each.ids, room), *after]) for each in encoded]
        return pad_sequence(rows, batch_first=True, padding_value=NOTHING)

    def text(self, window: np.ndarray) -> str:
        return self._data.decode(window[window != self._padding])


def _last(ids: List[int], room: int) -> List[int]:
    return ids[max(0, len(ids) - room) :]


def limit_of(config: Any, tokenizer: Any) -> int:
    """The most symbols that a model of transformers reads, by its ``config`` and tokenizer."""
    positions = getattr(config, "max_position_embeddings", None) or 1 << 30
    if "roberta" in str(config.model_type):  # whose positions begin behind that of padding
        positions -= config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length, 1 << 30))
