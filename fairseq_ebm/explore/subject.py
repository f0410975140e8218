"""What is explored: a joint model, its vocabulary, and text to compare with."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Callable, List, Optional

import numpy as np
import torch
from torch import Tensor

from ..data.streams import WindowStream
from ..data.tokenizers import Tokenizer, decode_behind, load_tokenizer, require_known
from ..errors import UserError
from ..joint.checkpoints import LoadedJoint, load_joint_checkpoints
from ..joint.model import Joint
from ..lm.sampler import Sampler
from ..options import Record
from .calibration import Calibration, calibration_of
from .options import MOST_CHARACTERS, Explore

EXAMPLES = 8
AT_ONCE = 32  # samples of a step: seen soon, and another's turn comes soon


@dataclass(frozen=True)
class Subject:
    options: Explore
    models: LoadedJoint
    joint: Joint
    tokenizer: Tokenizer
    window: int
    keeps_lines: bool  # whether a line feed is a symbol of its own; else documents end there
    calibration: Optional[Calibration]

    def tokens(self, text: str, name: str) -> Tensor:
        """``name``: of the field, in the language of the page."""
        lines = [text] if self.keeps_lines else text.split("\n")
        encoded = self.tokenizer.encode(lines)
        require_known(encoded, self.tokenizer.dictionary, name)
        eos = np.array([self.tokenizer.dictionary.eos()])
        joined = [encoded[0], *(part for line in encoded[1:] for part in (eos, line))]
        return torch.from_numpy(np.concatenate(joined).astype(np.int64))

    def words(self, before: Tensor) -> Callable[[Sequence[int]], str]:
        """The text of tokens behind others."""
        return partial(decode_behind, self.tokenizer, before.tolist())

    def pieces(self, tokens: Tensor) -> List[str]:
        """The text of each token; together they are the text of all, where symbols are characters
        or more."""
        decode, known = self.tokenizer.decode, tokens.tolist()
        ends = [decode(known[: end + 1]) for end in range(len(known))]
        starts = ["", *ends[:-1]]
        behind = [
            whole[len(start) :] if whole.startswith(start) else decode([token])
            for token, start, whole in zip(known, starts, ends)
        ]
        return [self.name(t) if "\ufffd" in piece else piece for t, piece in zip(known, behind)]

    def name(self, symbol: int) -> str:
        """What one symbol spells; a byte that is no character alone, by the dictionary's name."""
        text = self.tokenizer.decode([symbol])
        return self.tokenizer.dictionary[symbol] if "\ufffd" in text else text

    def stream_of(self, seed: int) -> Callable[[str], WindowStream]:
        """Those of the first prompt that fairseq-interactive reads."""
        return lambda purpose: WindowStream(seed, "interactive", 0, purpose)

    def require_fit(self, count: int, name: str) -> None:
        most = self.models.max_positions
        if count > most:
            raise UserError(f"{name}: {count:,} tokens; the models read {most:,} at most")


def load(options: Explore) -> Subject:
    assert options.path is not None
    models = load_joint_checkpoints(options.path, options.data, options.precision, options.device)
    if not models.judges:
        raise UserError("--path: no energy; give LM.pt:ENERGY.pt")
    models.lm.require_left_to_right()
    window = options.window or models.window
    models.require_window(window)
    joint = dataclasses.replace(models.joint(), sampler=Sampler(models.lm.model, rows=AT_ONCE))
    tokenizer = load_tokenizer(options.data)
    calibration = None
    if options.store is not None:
        calibration = calibration_of(options.store, options, joint, models)
    return Subject(options, models, joint, tokenizer, window, _keeps_lines(tokenizer), calibration)


def _keeps_lines(tokenizer: Tokenizer) -> bool:
    """Whether the text that the vocabulary was counted on had line feeds within documents."""
    (found,) = tokenizer.encode(["\n"])
    counts = tokenizer.dictionary.count
    return len(found) > 0 and all(counts[token] > 0 for token in found.tolist())


def about(subject: Subject) -> Record:
    """What the page says of what is explored."""
    parts = [(part.path, "energy") for part in subject.models.formula.energies]
    parts += [(part.path, "language model") for part in subject.models.formula.experts]
    calibration = subject.calibration
    return {
        "language_model": _name(subject.models.formula.base),
        "others": [f"{what} {_name(path)}" for path, what in parts],
        "window": subject.window,
        "device": str(subject.joint.device),
        "calibration": calibration and {
            "windows": len(calibration.shown.real),
            "subset": calibration.shown_name,
            "prefix_length": calibration.prefix_length,
        },
        "most_characters": MOST_CHARACTERS,
        "examples": list(_examples(subject)),
    }  # fmt: skip


def _examples(subject: Subject) -> Iterator[Record]:
    """To begin with: windows of real text, and what was generated in their place."""
    known, decode = subject.calibration, subject.tokenizer.decode
    pairs = zip(*known.shown) if known else ()
    for real, generated in islice(pairs, EXAMPLES):
        before = real[: known.prefix_length] if known else real
        prefix, whole = decode(before.tolist()), decode(real.tolist())
        yield {
            "prefix": prefix,
            "continuation": subject.words(before)(real[len(before) :].tolist()),
            "texts": [whole, decode(generated.tolist())],
        }


def _name(path: Path) -> str:
    """Enough to know it by, and not where it lies."""
    return "/".join(Path(path).parts[-2:])
