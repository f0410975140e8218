"""GPT-2's byte-level BPE as fairseq reads it, which is also RoBERTa's."""

from collections.abc import Sequence
from pathlib import Path
from typing import List, Union

import numpy as np
from fairseq.data import Dictionary
from fairseq.data.encoders.gpt2_bpe_utils import Encoder, get_encoder

from ..errors import UserError

ENCODER_NAME = "encoder.json"  # a token's characters -> its id
MERGES_NAME = "vocab.bpe"


class Gpt2Tokenizer:
    """fairseq's encoder. The symbols of ``dictionary`` are the decimal ids of its tokens; any other
    symbol, such as <mask> or fairseq's padding words, decodes to its own name."""

    def __init__(self, encoder: Encoder, dictionary: Dictionary) -> None:
        self.dictionary = dictionary
        self._encoder = encoder
        self._index = {i: dictionary.index(str(i)) for i in encoder.encoder.values()}
        spelled = {
            str(i): bytes(encoder.byte_decoder[character] for character in token)
            for token, i in encoder.encoder.items()
        }
        self._bytes = [spelled.get(s, s.encode()) for s in dictionary.symbols]
        self._bytes[dictionary.eos()] = b"\n"

    def encode(self, texts: Sequence[str]) -> List[np.ndarray]:
        encoded = map(self._encoder.encode, texts)
        return [np.array([self._index[i] for i in ids], dtype=np.int64) for ids in encoded]

    def decode(self, indices: Union[Sequence[int], np.ndarray]) -> str:
        return b"".join(self._bytes[i] for i in indices).decode("utf-8", errors="replace")


def load_gpt2(data: Path, dictionary: Dictionary) -> Gpt2Tokenizer:
    paths = [data / name for name in (ENCODER_NAME, MERGES_NAME)]
    for path in paths:
        if not path.exists():
            both = f"{ENCODER_NAME} and {MERGES_NAME}"
            raise UserError(f"{path}: no such file; GPT-2's BPE needs it: {both} go together")
    try:
        encoder = get_encoder(*map(str, paths))
        tokenizer = Gpt2Tokenizer(encoder, dictionary)
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        problem = f"{ENCODER_NAME} and {MERGES_NAME}: not GPT-2's ({error!r}); copy them again"
        raise UserError(f"{data}: {problem}") from None
    pieces = [*encoder.byte_encoder.values(), *("".join(pair) for pair in encoder.bpe_ranks)]
    missing = [piece for piece in pieces if piece not in encoder.encoder]
    if missing:
        problem = f"has no token {missing[0]!r}, which {MERGES_NAME} makes"
        raise UserError(f"{paths[0]}: {problem}; take both files from the same model")
    return tokenizer
