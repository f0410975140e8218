"""The joint sampler behind fairseq-generate and fairseq-interactive: prompts in, fairseq's
hypotheses out, and what fairseq does not print beside them."""

import logging
import math
from collections import defaultdict, deque
from pathlib import Path
from typing import Any, Deque, Dict, List, Optional, Set, TextIO, Tuple

import torch
from fairseq.models import FairseqLanguageModel
from torch import Tensor

from ..data.streams import WindowStream
from ..data.tokenizers import Tokenizer, load_tokenizer, require_known
from ..errors import UserError
from ..files import sha256_of
from ..joint.checkpoints import split_path
from ..joint.continuation import Continuations, GenerationOptions, continue_prompt
from ..joint.model import Joint
from ..lm.sampler import Sampler, require_truncation
from ..models.energy import EnergyModel
from ..numerics.drawing import Truncation
from ..records import strict_json
from .generation_config import (
    JointGenerationConfig,
    doubts_of,
    named_by_flags,
    refuse_unused,
    window_of,
)

logger = logging.getLogger(__name__)


class JointGenerator:
    """What fairseq's programs call a generator: made once, called with every batch."""

    def __init__(
        self, joint: Joint, options: GenerationOptions, cfg: JointGenerationConfig, data: Path
    ) -> None:
        self.joint, self.options, self.cfg = joint, options, cfg
        self.tokenizer: Tokenizer = load_tokenizer(data)
        # Several language models that continue a prompt must not do so with the same numbers.
        alone = joint.energy is None
        self._own = f"{sha256_of(split_path(cfg.path or '')[0])[:16]}-" if alone else ""
        self.eos = self.tokenizer.dictionary.eos()  # fairseq leaves it out of what it prints
        self._doubts = doubts_of(cfg)
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

    def generate(
        self, models: Any, sample: Dict[str, Any], **kwargs: Any
    ) -> List[List[Dict[str, Any]]]:
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
        return [
            self._hypotheses(prompt, text, where, number)
            for prompt, text, number in zip(prompts, texts, numbers)
        ]

    def _hypotheses(
        self, prompt: Tensor, text: Optional[Tensor], where: str, number: int
    ) -> List[Dict[str, Any]]:
        """``text``: the window that the prompt begins, if it is one of a real text."""
        seed = self.cfg.generation_seed
        self._warn(len(prompt))
        try:
            with named_by_flags():
                found = continue_prompt(
                    self.joint, prompt, self.options,
                    lambda purpose: WindowStream(seed, where, number, self._own + purpose),
                )  # fmt: skip
        except UserError as error:
            raise UserError(f"prompt {number}: {error}") from None
        if not self.cfg.quiet:
            self._tell(number, found)
        if self._file is not None:
            record = self._record(number, prompt, found)
            if text is not None:
                record["real"] = self._real(prompt, text)
            self._file.write(strict_json(record) + "\n")
        return [self._hypothesis(torch.cat([prompt, draw.tokens])) for draw in found.draws]

    def _warn(self, prompt_length: int) -> None:
        for doubt in self._doubts(prompt_length):
            if doubt not in self._doubted:
                logger.warning(doubt)
                self._doubted.add(doubt)

    def _hypothesis(self, text: Tensor) -> Dict[str, Any]:
        scores = self.joint.scores(text, self.options.window)
        return {
            "tokens": text,
            "score": float(scores.mean()),
            "attention": None,
            "alignment": torch.empty(0),
            "positional_scores": scores,
        }

    def _real(self, prompt: Tensor, text: Tensor) -> Dict[str, Any]:
        """What really follows a prompt, judged as proposals are."""
        tokens = text[len(prompt) :].tolist()
        energy = float(self.joint.energies(text.view(1, 1, -1), 0))
        return {
            "text": self.tokenizer.decode(tokens),
            "tokens": tokens,
            "energy": energy if math.isfinite(energy) else None,
            "log_p": float(self.joint.token_log_probs(text.view(1, -1), len(prompt)).sum()),
        }

    def _tell(self, number: int, found: Continuations) -> None:
        for draw in found.draws:
            figures = f"{draw.energy:.4f}\t{draw.log_p:.4f}\t{draw.share:.4g}\t{draw.ess:.1f}"
            print(f"E-{number}\t{figures}")

    def _record(self, number: int, prompt: Tensor, found: Continuations) -> Dict[str, Any]:
        decode = self.tokenizer.decode
        return {
            "id": number,
            "prompt": decode(prompt.tolist()),
            "base_text": decode(found.pools[0].tokens[0].tolist()),
            "truncated": not self.joint.sampler.truncation.is_none,
            "draws": [
                {
                    "text": decode(draw.tokens.tolist()),
                    "tokens": draw.tokens.tolist(),
                    "energy": draw.energy,
                    "log_p": draw.log_p,
                    "share": draw.share,
                    "ess": draw.ess,
                }
                for draw in found.draws
            ],
            "pools": [
                {
                    "tokens": pool.tokens.tolist(),
                    "energies": [e if math.isfinite(e) else None for e in pool.energies.tolist()],
                    "log_p": pool.log_p.tolist(),
                    **figures,
                }
                for pool, figures in zip(found.pools, found.figures)
            ],
            "seconds": dict(zip(("proposing", "scoring", "choosing"), found.seconds)),
        }


@named_by_flags()
def build_generator(
    models: List[Any], args: Any, cfg: JointGenerationConfig, data: Path
) -> JointGenerator:
    """``models`` as fairseq has loaded them from --path; ``args``: its own flags of generation."""
    lms = [model for model in models if isinstance(model, FairseqLanguageModel)]
    energies = [model for model in models if isinstance(model, EnergyModel)]
    if len(lms) != 1 or len(energies) > 1:
        raise UserError(
            f"--path: {len(lms)} language models and {len(energies)} energies; give one language "
            "model, and one energy or none, joined by a colon"
        )
    if not args.sampling:
        raise UserError("--sampling: needed; text is drawn, not searched for")
    if args.nbest != args.beam:
        raise UserError(f"--nbest: {args.nbest}, but --beam is {args.beam}: give both the same")
    refuse_unused(args)
    positions = min(model.max_positions() for model in (*lms, *energies))
    window = window_of(cfg)
    if window > positions:
        raise UserError(f"--window: {window} tokens, but the models read {positions} at most")
    options = GenerationOptions(
        joint_samples=cfg.joint_samples if energies else args.beam,
        num_draws=args.beam,
        window=window,
        length=cfg.generation_length,
        chunk_length=cfg.chunk_length,
        rule=cfg.joint_sampler,
        beta=cfg.rejection_beta,
    )
    top_k, top_p = args.sampling_topk, args.sampling_topp
    truncation = Truncation(
        top_k=top_k if top_k > 0 else None,
        top_p=top_p if top_p > 0 else None,
        temperature=args.temperature,
    )
    require_truncation(truncation, len(lms[0].decoder.dictionary))
    for model in models:
        model.eval()
        if cfg.bf16:
            model.to(torch.bfloat16)  # which fairseq-generate leaves out
    sampler = Sampler(lms[0], truncation, cfg.sampling_memory)
    joint = Joint(lms[0], sampler, energies[0] if energies else None)
    return JointGenerator(joint, options, cfg, data)


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
