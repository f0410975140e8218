"""The joint sampler behind fairseq-generate and fairseq-interactive: prompts in, fairseq's
hypotheses out, and what fairseq does not print beside them."""

import inspect
import json
import logging
import math
import sys
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Deque, Dict, List, Optional, TextIO, Tuple

import numpy as np
import torch
from fairseq.data import Dictionary, FairseqDataset, data_utils
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.models import FairseqLanguageModel
from omegaconf import II
from torch import Tensor

from ..data.store import sha256_of
from ..data.streams import WindowStream
from ..data.tokenizers import Tokenizer, load_tokenizer
from ..data.windows import WindowOptions, Windows
from ..errors import UserError
from ..generation.continuation import Continuations, GenerationOptions, continue_prompt
from ..generation.rules import RULES
from ..lm.checkpoint import read_config, reads_right_to_left
from ..lm.sampler import Sampler
from ..models.checkpoint import NEGATIVES, read_energy
from ..models.energy import EnergyModel
from ..models.joint import Joint
from ..models.joint_checkpoints import split_path
from ..numerics.drawing import Truncation

logger = logging.getLogger(__name__)


@dataclass
class JointGenerationConfig(FairseqDataclass):
    """Flags of the joint sampler; fairseq's own that it heeds stand at the end."""

    joint_samples: int = field(
        default=1000, metadata={"help": "generation: proposals of the language model for a prompt"}
    )
    joint_sampler: ChoiceEnum(list(RULES)) = field(  # type: ignore[valid-type]
        default="snis",
        metadata={
            "help": "generation: how --beam draws are made of the proposals: snis (importance "
            "resampling), metropolis (independent Metropolis-Hastings), rejection (quasi-rejection)"
        },
    )
    rejection_beta: Optional[float] = field(
        default=None,
        metadata={
            "help": "generation: with --joint-sampler rejection, accept a proposal with "
            "probability exp(-E) / BETA; higher ones are nearer to the joint model and accept less"
        },
    )
    window: int = field(
        default=160,
        metadata={
            "help": "generation: tokens that the models see at once, prompt and continuation"
        },
    )
    stride: int = field(
        default=160, metadata={"help": "generation: tokens between the windows of --gen-subset"}
    )
    max_windows: Optional[int] = field(
        default=None, metadata={"help": "generation: so many windows, chosen at random"}
    )
    generation_length: Optional[int] = field(
        default=None,
        metadata={"help": "generation: new tokens (default: what the window leaves)"},
    )
    chunk_length: Optional[int] = field(
        default=None,
        metadata={"help": "generation: make longer text in chunks of so many tokens"},
    )
    joint_results_path: Optional[str] = field(
        default=None, metadata={"help": "generation: write draws and whole pools as JSON lines"}
    )
    generation_seed: int = II("common.seed")
    gen_subset: str = II("dataset.gen_subset")
    num_shards: int = II("dataset.num_shards")
    shard_id: int = II("dataset.shard_id")
    prefix_size: int = II("generation.prefix_size")
    path: Optional[str] = II("common_eval.path")


class Prompts(FairseqDataset):
    """Prompts, and for windows of a text what really follows, as fairseq's programs want them."""

    def __init__(
        self, ids: List[int], prompts: List[Tensor], texts: Optional[List[Tensor]], pad: int
    ) -> None:
        self.ids, self.prompts, self.texts, self.pad = ids, prompts, texts, pad

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, index: int) -> int:
        return int(index)

    def collater(self, samples: List[int]) -> Dict[str, Any]:
        if not samples:
            return {}
        prompts = [self.prompts[i] for i in samples]
        texts = None if self.texts is None else [self.texts[i] for i in samples]
        return {
            "id": torch.tensor([self.ids[i] for i in samples]),
            "net_input": {
                "src_tokens": self._padded(prompts),
                "src_lengths": torch.tensor([len(prompt) for prompt in prompts]),
            },
            "target": None if texts is None else self._padded(texts),
        }

    def _padded(self, rows: List[Tensor]) -> Tensor:
        if not any(len(row) for row in rows):
            return torch.zeros(len(rows), 0, dtype=torch.long)
        return data_utils.collate_tokens(rows, self.pad)

    def num_tokens(self, index: int) -> int:
        return len(self.prompts[index])

    def size(self, index: int) -> int:
        return len(self.prompts[index])

    def ordered_indices(self) -> np.ndarray:
        return np.arange(len(self))

    def batch_by_size(
        self,
        indices: np.ndarray,
        max_tokens: Optional[int] = None,
        max_sentences: Optional[int] = None,
        required_batch_size_multiple: int = 1,
    ) -> List[np.ndarray]:
        """All of them: with a multiple, 8 by default, fairseq drops a last batch that is none."""
        return super().batch_by_size(indices, max_tokens, max_sentences)

    def filter_indices_by_size(
        self, indices: np.ndarray, max_sizes: Any
    ) -> Tuple[np.ndarray, List[int]]:
        """A prompt is never too long: of a long one the models see the end."""
        return indices, []


class JointGenerator:
    """What fairseq's programs call a generator: made once, called with every batch."""

    def __init__(
        self, joint: Joint, options: GenerationOptions, cfg: JointGenerationConfig, data: Path
    ) -> None:
        self.joint, self.options, self.cfg = joint, options, cfg
        self.tokenizer: Tokenizer = load_tokenizer(data)
        self.eos = self.tokenizer.dictionary.eos()  # fairseq leaves it out of what it prints
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
        try:
            found = continue_prompt(
                self.joint, prompt, self.options,
                lambda purpose: WindowStream(seed, where, number, purpose),
            )  # fmt: skip
        except UserError as error:
            raise UserError(f"prompt {number}: {error}") from None
        self._tell(number, found)
        if self._file is not None:
            record = self._record(number, prompt, found)
            if text is not None:
                record["real"] = self._real(prompt, text)
            self._file.write(json.dumps(record) + "\n")
        return [self._hypothesis(torch.cat([prompt, draw.tokens])) for draw in found.draws]

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
        return {
            "text": self.tokenizer.decode(tokens),
            "tokens": tokens,
            "energy": float(self.joint.energies(text.view(1, 1, -1), 0)),
            "log_p": float(self.joint.token_log_probs(text.view(1, -1), len(prompt)).sum()),
        }

    def _tell(self, number: int, found: Continuations) -> None:
        for draw in found.draws:
            print(
                f"E-{number}\t{draw.energy:.4f}\t{draw.log_p:.4f}\t{draw.share:.4g}\t{draw.ess:.1f}",
                file=results_stream(),
            )

    def _record(self, number: int, prompt: Tensor, found: Continuations) -> Dict[str, Any]:
        decode = self.tokenizer.decode
        return {
            "id": number,
            "prompt": decode(prompt.tolist()),
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


def results_stream() -> TextIO:
    """Where fairseq-generate prints its H lines, so that ours stand beside them. It gives that to
    no one, and with --results-path it is a file: found where fairseq's own function has it."""
    frame = inspect.currentframe()
    while frame is not None:
        if "output_file" in frame.f_locals and "hypos" in frame.f_code.co_varnames:
            return frame.f_locals["output_file"]  # type: ignore[no-any-return]
        frame = frame.f_back
    return sys.stdout


def build_generator(
    models: List[Any], args: Any, cfg: JointGenerationConfig, data: Path
) -> JointGenerator:
    """``models`` as fairseq has loaded them from --path; ``args``: its own flags of generation."""
    lms = [model for model in models if isinstance(model, FairseqLanguageModel)]
    energies = [model for model in models if isinstance(model, EnergyModel)]
    if len(lms) != 1 or len(energies) != 1:
        raise UserError(
            f"--path: {len(lms)} language models and {len(energies)} energies; give one of each, "
            "joined by a colon"
        )
    if not args.sampling:
        raise UserError("--sampling: needed; the joint model is drawn from, not searched")
    if args.nbest != args.beam:
        raise UserError(f"--nbest: {args.nbest}, but --beam is {args.beam}: give both the same")
    options = GenerationOptions(
        joint_samples=cfg.joint_samples,
        num_draws=args.beam,
        window=cfg.window,
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
    positions = min(lms[0].max_positions(), energies[0].max_positions())
    if cfg.window > positions:
        raise UserError(f"--window: {cfg.window} tokens, but the models read {positions} at most")
    for model in models:
        model.eval()
    require_good_lm(cfg, data)
    joint = Joint(lms[0], Sampler(lms[0], truncation), energies[0])
    return JointGenerator(joint, options, cfg, data)


def require_good_lm(cfg: JointGenerationConfig, data: Path) -> None:
    """What fairseq does not look at in the language model's checkpoint."""
    lm_path, energy_path = split_path(cfg.path or "")
    if reads_right_to_left(read_config(lm_path, data, "--path")):
        raise UserError(f"--path: {lm_path}: reads right to left, and cannot continue a text")
    negatives = read_energy(energy_path, "--path")["task_state"][NEGATIVES] if energy_path else []
    sources = [m["source"].get("language_model", {}) for m in negatives]
    if all(source.get("sha256") != sha256_of(lm_path) for source in sources):
        logger.warning(
            f"--path: {energy_path}: not trained on negatives of {lm_path}: together they are no "
            "model of the text"
        )


def prompts_of_windows(cfg: JointGenerationConfig, data: Path, dictionary: Dictionary) -> Prompts:
    """The beginnings of the windows of a split; of these, a shard takes every so many."""
    options = WindowOptions(
        cfg.window, cfg.stride, (cfg.prefix_size,), cfg.max_windows, cfg.generation_seed
    )
    windows = Windows(data, cfg.gen_subset, options)
    chosen = range(cfg.shard_id, len(windows), cfg.num_shards)
    texts = [torch.tensor(windows.tokens(i), dtype=torch.long) for i in chosen]
    prompts = [text[: cfg.prefix_size] for text in texts]
    ids = [int(windows.numbers[i]) for i in chosen]
    return Prompts(ids, prompts, texts, dictionary.pad())
