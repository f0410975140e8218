"""Negatives by a Hugging Face causal language model, which has a vocabulary of its own.

Between the two vocabularies everything goes as text: a prefix is decoded with the data's tokenizer
and encoded with the model's; what the model writes goes the same way back. Nothing is downloaded,
and no code that comes with a model is run.

The end of a document, </s> in the data, is the model's end-of-text symbol, both ways; in data whose
documents are lines it is a line feed, both ways, and an end-of-text symbol is read as one. The
model writes on behind it, as its own training text went on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Set, Tuple

import numpy as np
import torch
from torch import Tensor

from ..data.streams import WindowStream
from ..data.tokenizers import Tokenizer, load_tokenizer
from ..data.windows import running_text
from ..errors import UserError
from ..lm import hugging_face
from ..lm.checkpoint import DTYPES, require_precision
from ..lm.sampler import require_truncation
from ..numerics.drawing import Truncation
from .filling import AuthoredContinuations

SPARE = 8  # tokens written beyond the window: where text breaks off, it is not tokenized as usual
ROUNDS = 16  # of writing on, before a model that writes next to no text is given up
LOOKED_AT = 1 << 24  # tokens of a split, to see whether its documents are lines
CUT_CHARACTER = "\ufffd"  # what a part of a character's bytes decodes to


@dataclass(frozen=True)
class HuggingFaceLM:
    """``model`` in evaluation mode, on its device, in its precision; its own ``tokenizer``."""

    model: Any
    tokenizer: Any
    ends: Set[int]  # end-of-text symbols
    sha256: str
    architecture: str


def load_hugging_face(path: Path, precision: str, device: torch.device) -> HuggingFaceLM:
    require_precision(precision, device)
    found = hugging_face.find(path, DTYPES[precision], "--hf")
    model, tokenizer = found.model.to(device), found.tokenizer
    of_model = model.generation_config.eos_token_id  # one, several or none
    ends = {*(of_model if isinstance(of_model, list) else [of_model]), tokenizer.eos_token_id}
    return HuggingFaceLM(model, tokenizer, ends - {None}, found.sha256, found.architecture)


def documents_are_lines(data: Path, tokenizer: Tokenizer) -> bool:
    """Whether no document holds a line feed, as in text prepared from files."""
    line_feed = tokenizer.encode(["\n"])[0][-1:]
    splits = [path.stem for path in data.glob("*.bin") if path.stat().st_size]
    texts = (running_text(data, split)[:LOOKED_AT] for split in splits)
    return not any(np.isin(text, line_feed).any() for text in texts)


class HuggingFaceAuthor:
    """Writes in the vocabulary of ``data``. Where a model's positions are too few for all that it
    should read, it reads the end of that."""

    def __init__(self, lm: HuggingFaceLM, data: Path, truncation: Truncation) -> None:
        from transformers import GenerationConfig  # noqa: PLC0415

        self.lm, self.text = lm, load_tokenizer(data)
        self.dictionary = self.text.dictionary
        require_truncation(truncation, len(lm.tokenizer) + 1)
        # In place of the model's own: nothing stops, forbids or sharpens what is not asked for.
        lm.model.generation_config = GenerationConfig(
            do_sample=True,
            top_k=truncation.top_k or 0,  # the default is 50
            top_p=1.0 if truncation.top_p is None else truncation.top_p,
            temperature=truncation.temperature,
            **({} if truncation.min_p is None else {"min_p": truncation.min_p}),
        )
        end, begin = lm.tokenizer.eos_token_id, lm.tokenizer.bos_token_id
        self._begin = [symbol for symbol in (begin, end) if symbol is not None][:1]
        self._lines = end is None or documents_are_lines(data, self.text)
        self._between = list(dict.fromkeys([end, *self._begin]))  # one, where both are the same
        self._positions: Optional[int] = getattr(lm.model.config, "max_position_embeddings", None)

    def continuations(
        self, windows: np.ndarray, prefix_length: int, num: int, streams: Sequence[WindowStream]
    ) -> AuthoredContinuations:
        """(W, num, T - p) tokens, each window by itself. No log-probabilities: those of the model
        are of other symbols."""
        length, prefixes = windows.shape[1] - prefix_length, windows[:, :prefix_length]
        pairs = zip(prefixes, streams)
        tokens = np.stack([self._continue(p, num, length, stream) for p, stream in pairs])
        unknown = np.full(tokens.shape[:2], np.nan)
        return AuthoredContinuations(tokens, unknown, unknown, unknown[:, 0])

    def _continue(
        self, prefix: np.ndarray, num: int, length: int, stream: WindowStream
    ) -> np.ndarray:
        """(num, length). Short ones are extended: drawing them again would favour long ones."""
        before, document = self._encode(prefix)
        rate = len(before + document) / max(1, len(prefix))  # the model's symbols a token
        step = math.ceil(1.2 * max(rate, 0.5) * (length + SPARE))
        device = self.lm.model.device
        rows = torch.tensor([before + document] * num, device=device)  # (num, symbols)
        start, short = rows.size(1), list(range(num))
        result = np.empty((num, length), dtype=np.int64)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(stream.uniforms(1)[0] * 2**53))
            for _ in range(ROUNDS):
                rows = self._write_on(rows, step)
                unfinished = []
                for j, row in enumerate(rows.tolist()):
                    tokens = self._tokens(document, row[start:])
                    if len(tokens) >= length + SPARE:
                        result[short[j]] = tokens[:length]
                    else:
                        unfinished.append(j)
                if not unfinished:
                    return result
                rows, short = rows[unfinished], [short[j] for j in unfinished]
        written, wanted = rows.size(1) - start, length + SPARE
        few = f"{written} of its symbols give fewer than {wanted} tokens of DATA"
        raise UserError(f"--hf: the model's text does not fill a window: {few}; take another model")

    def _encode(self, prefix: np.ndarray) -> Tuple[List[int], List[int]]:
        """The model's symbols for a prefix: what lies before its last document; that document."""
        ends: Any = [] if self._lines else np.flatnonzero(prefix == self.dictionary.eos()) + 1
        *whole, last = np.split(prefix, ends)
        texts = [*(self.text.decode(part[:-1]) for part in whole), self.text.decode(last)]
        texts[0] = texts[0].lstrip(CUT_CHARACTER)
        texts[-1] = texts[-1].rstrip(CUT_CHARACTER)
        encode = self.lm.tokenizer.encode
        *documents, document = [encode(text, add_special_tokens=False) for text in texts]
        before = [*self._begin, *(symbol for ids in documents for symbol in ids + self._between)]
        if not before + document:
            problem = "the model has no symbol that text begins with, and needs a prefix"
            raise UserError(f"--prefix-length: {problem}")
        return before, document

    def _write_on(self, rows: Tensor, step: int) -> Tensor:
        """``rows`` (N, S) and, behind each, ``step`` symbols or as many as the positions allow."""
        read = rows
        if self._positions is not None:
            step = min(step, self._positions // 2)
            read = rows[:, step - self._positions :]
        mask = torch.ones_like(read)
        written = self.lm.model.generate(read, attention_mask=mask, max_new_tokens=step)
        return torch.cat([rows, written[:, read.size(1) :]], dim=1)

    def _tokens(self, document: List[int], symbols: List[int]) -> np.ndarray:
        """The data's tokens of what ``symbols`` say behind ``document``."""
        ends = [i for i, symbol in enumerate(symbols) if symbol in self.lm.ends]
        bounds = zip([0, *(i + 1 for i in ends)], [*ends, len(symbols)])
        first, *others = [symbols[start:stop] for start, stop in bounds]
        # With what it follows: some tokenizers drop the space that a text begins with.
        behind = self._decode(document + first)[len(self._decode(document)) :]
        texts = [behind, *map(self._decode, others)]
        if self._lines:
            texts = [line for text in texts for line in text.split("\n")]
        eos = self.dictionary.eos()
        return np.concatenate([np.append(part, eos) for part in self.text.encode(texts)])[:-1]

    def _decode(self, symbols: List[int]) -> str:
        as_it_is = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
        return str(self.lm.tokenizer.decode(symbols, **as_it_is))
