"""``JointModel``: the joint model in Python, text in, text and records out."""

import dataclasses
import warnings
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, List, Optional, Sequence, Union

import torch
from torch import Tensor

from ..data.streams import WindowStream
from ..data.tokenizers import Tokenizer, decode_behind, load_tokenizer, require_known
from ..errors import UserError
from ..lm.sampler import require_truncation
from ..numerics.drawing import Truncation
from .bounds import TextBounds, bounds_so_far
from .checkpoints import LoadedJoint, load_joint_checkpoints
from .continuation import GenerationOptions, continue_prompt
from .model import Joint, number_of


@dataclass(frozen=True)
class JointSample:
    """A continuation; ``share`` is its part of the weight of all proposals, natural logarithms."""

    text: str
    energy: float
    log_p_lm: float
    share: float
    ess: float


class JointModel:
    """P_LM(x) exp(-E(x)) / Z of a language model and an energy.

    model = JointModel.from_pretrained("lm.pt", "energy.pt", "data")
    model.sample("The function returns", num_draws=3)
    """

    def __init__(self, models: LoadedJoint, tokenizer: Tokenizer, window: int) -> None:
        self.models, self.tokenizer, self.window = models, tokenizer, window

    @classmethod
    def from_pretrained(
        cls,
        lm: Union[str, Path],
        energy: Union[str, Path],
        data: Union[str, Path],
        device: Optional[str] = None,
        precision: str = "fp32",
        window: Optional[int] = None,
        sampling_memory: Optional[float] = None,
    ) -> "JointModel":
        """From two checkpoints and the prepared text whose vocabulary they have. ``device``: "cpu",
        "cuda" or None for a GPU if there is one; ``precision``: fp32, fp16 or bf16; ``window``: how
        many tokens the models see at once (default: what the energy was trained on);
        ``sampling_memory``: GiB that samples in hand may take (default: 24 on a GPU, else 1)."""
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        models = load_joint_checkpoints(
            f"{lm}:{energy}", Path(data), precision, torch.device(where), sampling_memory
        )
        models.require_window(window or models.window)
        models.lm.require_left_to_right()
        return cls(models, load_tokenizer(data), window or models.window)

    @cached_property
    def _joint(self) -> Joint:
        return self.models.joint()

    def energy(self, texts: Sequence[str]) -> List[float]:
        """E of each text as a whole; low means that it looks real."""
        if isinstance(texts, str):
            raise UserError("texts: a list of texts is wanted, not a single one")
        joint = self._joint
        return [float(joint.energies(self._window(text).view(1, 1, -1), 0)) for text in texts]

    def sample(
        self,
        prompt: str,
        num_draws: int = 1,
        joint_samples: int = 1000,
        seed: int = 1,
        length: Optional[int] = None,
        chunk_length: Optional[int] = None,
        **truncation: Any,
    ) -> List[JointSample]:
        """Continuations of a prompt: ``num_draws`` of ``joint_samples`` proposals, ``length``
        tokens long (default: what the window leaves). ``truncation`` of proposals: ``top_k``,
        ``top_p``, ``min_p``, ``temperature``."""
        options = GenerationOptions(joint_samples, num_draws, self.window, length, chunk_length)
        proposed = Truncation(**truncation)
        require_truncation(proposed, len(self.models.lm.dictionary))
        tokens = self._encode(prompt, "prompt")
        joint = dataclasses.replace(self._joint, sampler=self._joint.sampler.truncated(proposed))
        stream_of = partial(WindowStream, seed, "python", number_of(tokens))
        found = continue_prompt(joint, tokens, options, stream_of)
        before = tokens.tolist()
        return [
            JointSample(
                decode_behind(self.tokenizer, before, d.tokens.tolist()),
                d.energy,
                d.log_p,
                d.share,
                d.ess,
            )
            for d in found.draws
        ]

    def bounds(
        self, prefix: str, continuation: str, num_samples: int = 1000, seed: int = 1
    ) -> TextBounds:
        """Bounds on the perplexity of a continuation; refuses an energy that is no density."""
        self.models.require_density()
        joint = self._joint
        before, after = self._encode(prefix, "prefix"), self._encode(continuation, "continuation")
        for doubt in self.models.doubts(len(before)):
            warnings.warn(doubt, stacklevel=2)
        if num_samples < 2:
            raise UserError("num_samples: bounds need at least 2 samples")
        self._require_fit(torch.cat([before, after]))
        *_, found = bounds_so_far(joint, before, after, num_samples, seed)
        return found

    def _encode(self, text: str, name: str) -> Tensor:
        """``name``: of the argument."""
        if not isinstance(text, str):
            raise UserError(f"{name}: a text is wanted, not {text!r:.40}")
        encoded = self.tokenizer.encode([text])
        require_known(encoded, self.tokenizer.dictionary, name)
        return torch.from_numpy(encoded[0])

    def _window(self, text: str) -> Tensor:
        tokens = self._encode(text, "texts")
        if not len(tokens):
            raise UserError("texts: there is nothing in one of them")
        return self._require_fit(tokens)

    def _require_fit(self, tokens: Tensor) -> Tensor:
        most = self.models.max_positions
        if len(tokens) > most:
            raise UserError(f"text of {len(tokens)} tokens: the models read {most} at most")
        return tokens
