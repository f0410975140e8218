"""What fairseq-generate and fairseq-interactive call a generator: prompts in, fairseq's hypotheses
out, and what fairseq does not print beside them."""

import logging
from collections import defaultdict, deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Deque, Dict, List, Optional, Set, TextIO, Tuple

import torch
from torch import Tensor

from ..data.streams import WindowStream
from ..data.tokenizers import Tokenizer, decode_behind, load_tokenizer, require_known
from ..errors import UserError
from ..joint.checkpoints import doubts
from ..joint.continuation import ContinuedPrompt, GenerationOptions, continue_prompt
from ..joint.formula import Formula, parse
from ..joint.model import Joint
from ..joint.pools import real_of, record_of
from ..lm.checkpoint import (
    digest_of_model,
    read_config,
    reads_right_to_left,
    require_left_to_right,
)
from ..lm.hugging_face import folder_of
from ..models.checkpoint import WINDOW, negatives_of, read_energy, trained_window
from ..negatives.store import Manifest
from ..records import strict_json
from .generation_config import JointGenerationConfig, named_by_flags

logger = logging.getLogger(__name__)

Hypotheses = List[Dict[str, Any]]  # of a prompt, as fairseq knows them


@dataclass(frozen=True)
class KnownModels:
    """What is known of the models in --path before fairseq loads them: ``negatives``, what energies
    were trained on, if there are any."""

    data: Path
    formula: Formula
    lm_sha256: str
    negatives: Tuple[Manifest, ...]
    precision: str

    @property
    def window(self) -> int:
        return trained_window(self.negatives, WINDOW)


def looked_at(cfg: JointGenerationConfig, data: Path) -> KnownModels:
    """The models in --path, which fit the sampler and each other; or an error."""
    formula = parse(cfg.path or "")
    if not (formula.energies or formula.experts) and cfg.joint_sampler != "snis":
        raise UserError(
            f"--joint-sampler: {cfg.joint_sampler} chooses by an energy; --path has none"
        )
    if cfg.fp16 and cfg.cpu:
        raise UserError("--fp16: needs a GPU; on the CPU use --bf16 or neither")
    for path in (formula.base, *(part.path for part in formula.experts)):
        if folder_of(path) is None:
            config = read_config(path, data, "--path")
            require_left_to_right(path, reads_right_to_left(config))
    lm_sha256 = digest_of_model(formula.base)
    negatives: List[Manifest] = []
    for path in (part.path for part in formula.energies):
        of_this = negatives_of(read_energy(path, "--path"), path)
        sources = [manifest.source.get("language_model", {}) for manifest in of_this]
        if formula.is_plain and any(source.get("sha256") != lm_sha256 for source in sources):
            logger.warning(
                f"--path: {path}: not trained on negatives of {formula.base} alone: together they "
                "are no model of the text"
            )
        negatives += of_this
    precision = "fp16" if cfg.fp16 else "bf16" if cfg.bf16 else "fp32"
    return KnownModels(data, formula, lm_sha256, tuple(negatives), precision)


class JointGenerator:
    """Made once, called with every batch."""

    def __init__(
        self,
        joint: Joint,
        options: GenerationOptions,
        cfg: JointGenerationConfig,
        models: KnownModels,
    ) -> None:
        self.joint, self.options, self.cfg = joint, options, cfg
        self.tokenizer: Tokenizer = load_tokenizer(models.data)
        # Several language models that continue a prompt must not do so with the same numbers.
        alone = joint.energy is None
        self._own = f"{models.lm_sha256[:16]}-" if alone else ""
        self.eos = self.tokenizer.dictionary.eos()  # fairseq leaves it out of what it prints
        self._models = models
        self._doubted: Set[str] = set()
        self._typed: Dict[Tuple[int, ...], Deque[int]] = defaultdict(deque)
        self._num_typed = 0
        self._file: Optional[TextIO] = None
        if cfg.joint_results_path:
            path = Path(cfg.joint_results_path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", buffering=1)

    def expect(self, prompts: List[Tensor]) -> None:
        """What fairseq-interactive has read, in order; its batches tell no numbers of lines."""
        for prompt in prompts:
            require_known([prompt.numpy()], self.tokenizer.dictionary, f"prompt {self._num_typed}")
            self._typed[tuple(prompt.tolist())].append(self._num_typed)
            self._num_typed += 1

    def generate(self, models: Any, sample: Dict[str, Any], **kwargs: Any) -> List[Hypotheses]:
        """fairseq's hypotheses of each prompt. Prompts are worked on one by one, so that the text
        does not depend on the size of the batch."""
        rows, lengths = sample["net_input"]["src_tokens"], sample["net_input"]["src_lengths"]
        prompts = [row[:length].cpu() for row, length in zip(rows, lengths.tolist())]
        if "id" in sample:
            where, numbers = self.cfg.gen_subset, sample["id"].tolist()
        else:
            where = "interactive"
            numbers = [self._typed[tuple(prompt.tolist())].popleft() for prompt in prompts]
        texts = [None] * len(prompts) if sample.get("target") is None else sample["target"].cpu()
        each = zip(prompts, texts, numbers)
        return [self._hypotheses(prompt, text, where, number) for prompt, text, number in each]

    def _hypotheses(
        self, prompt: Tensor, text: Optional[Tensor], where: str, number: int
    ) -> Hypotheses:
        """``text``: the window that the prompt begins, if it is one of a real text."""
        seed = self.cfg.generation_seed
        for doubt in doubts(self._models.negatives, self._models.precision, len(prompt)):
            if doubt not in self._doubted:
                logger.warning(doubt)
                self._doubted.add(doubt)
        try:
            with named_by_flags():
                continued = continue_prompt(
                    self.joint, prompt, self.options,
                    lambda purpose: WindowStream(seed, where, number, self._own + purpose),
                )  # fmt: skip
        except UserError as error:
            raise UserError(f"prompt {number}: {error}") from None
        if not self.cfg.quiet:
            for draw in continued.draws:
                figures = f"{draw.energy:.4f}\t{draw.log_p:.4f}\t{draw.share:.4g}\t{draw.ess:.1f}"
                print(f"E-{number}\t{figures}")
        if self._file is not None:
            record = self._record(number, prompt, text, continued)
            self._file.write(strict_json(record) + "\n")
        return [self._hypothesis(torch.cat([prompt, draw.tokens])) for draw in continued.draws]

    def _hypothesis(self, text: Tensor) -> Dict[str, Any]:
        scores = self.joint.scores(text, self.options.window)
        found = {"tokens": text, "score": float(scores.mean()), "positional_scores": scores}
        return {**found, "attention": None, "alignment": torch.empty(0)}

    def _record(
        self, number: int, prompt: Tensor, text: Optional[Tensor], continued: ContinuedPrompt
    ) -> Dict[str, Any]:
        before, truncated = prompt.tolist(), not self.joint.sampler.truncation.is_none
        decode = partial(decode_behind, self.tokenizer, before)
        real = None
        if text is not None:
            given = self.joint.of_prefix(prompt[None])
            energy = float(self.joint.energies(text.view(1, 1, -1), 0) - given)
            log_p = float(self.joint.token_log_probs(text.view(1, -1), len(prompt)).sum())
            real = real_of(text[len(prompt) :].tolist(), energy, log_p, decode)
        written = self.tokenizer.decode(before)
        return record_of(number, written, continued, truncated, decode, real)


class TextOfData:
    """What --bpe would be: text to the symbols of the data, and back. A line stays a line."""

    def __init__(self, data: Path) -> None:
        self._tokenizer = load_tokenizer(data)

    def encode(self, text: str) -> str:
        symbols = self._tokenizer.dictionary.symbols
        return " ".join(symbols[i] for i in self._tokenizer.encode([text])[0])

    def decode(self, symbols: str) -> str:
        index = self._tokenizer.dictionary.index
        text = self._tokenizer.decode([index(symbol) for symbol in symbols.split()])
        return " ".join(text.splitlines())
