"""Text of a language model and an energy together, by fairseq-generate and fairseq-interactive:
what ``residual_ebm_lm`` does with prepared text."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, List, Tuple

import torch
from fairseq.models import FairseqLanguageModel

from ..errors import UserError
from ..joint.continuation import GenerationOptions
from ..joint.formula import Formula, energy_of
from ..joint.model import Joint
from ..launchers import launched, local_rank
from ..lm.checkpoint import require_positions
from ..lm.hugging_face import folder_of
from ..lm.sampler import Sampler, require_truncation
from ..models.hugging_face_lm import write_stand_in
from ..negatives.store import read_manifest
from ..numerics.drawing import Truncation
from .energy_task import EnergyTask
from .generation_config import JointGenerationConfig, named_by_flags, refuse_unused
from .generator import JointGenerator, KnownModels, TextOfData, looked_at
from .prompts import PromptDataset, prompts_of_windows


class JointGenerationTask(EnergyTask):
    """Behind the name ``residual_ebm_lm``, where ``cfg.data`` is prepared text. Without --path
    there is nothing to be done with that but to say what is missing."""

    def __init__(self, cfg: JointGenerationConfig, data: Path) -> None:
        super().__init__(cfg, data)
        self._known: KnownModels
        self._generator: JointGenerator
        if cfg.path:
            self._known = looked_at(cfg, data)
            take_part(cfg)
            self._stand_ins = stand_ins(cfg, self._known)

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> None:
        window = self.cfg.window or self._known.window
        self.datasets[split] = prompts_of_windows(self.cfg, self.data, split, window)

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        if not from_checkpoint:
            read_manifest(self.data)  # says what is missing to train
        return super().build_model(cfg, from_checkpoint)

    def build_criterion(self, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        read_manifest(self.data)  # says what is missing
        return super().build_criterion(cfg, *args, **kwargs)

    def build_generator(self, models: List[Any], args: Any, *_: Any, **__: Any) -> JointGenerator:
        self._generator = build_generator(models, args, self.cfg, self._known)
        return self._generator

    def build_bpe(self, args: Any) -> Any:
        """Without --bpe, the vocabulary of the data."""
        return super().build_bpe(args) or TextOfData(self.data)

    def get_interactive_tokens_and_lengths(
        self, lines: List[str], encode_fn: Any
    ) -> Tuple[List[torch.Tensor], List[int]]:
        """No </s> behind a prompt: it would say that the text ends there."""
        encode = self.dictionary.encode_line
        texts = [encode_fn(line) for line in lines]
        prompts = [encode(text, add_if_not_exist=False, append_eos=False).long() for text in texts]
        self._generator.expect(prompts)
        return prompts, [len(prompt) for prompt in prompts]

    def build_dataset_for_inference(
        self, src_tokens: List[torch.Tensor], src_lengths: List[int], **kwargs: Any
    ) -> PromptDataset:
        return PromptDataset(list(range(len(src_tokens))), src_tokens, None, self.dictionary.pad())

    def max_positions(self) -> None:
        return None


def stand_ins(cfg: Any, known: KnownModels) -> "TemporaryDirectory[str]":
    """fairseq's programs read --path once the task is made, and know no weights and no folders:
    they find the paths alone, in the formula's order, and in the place of a folder a checkpoint
    that names it, which is deleted with what is returned."""
    temporary, names = TemporaryDirectory(), []
    for i, path in enumerate(known.formula.paths):
        folder = folder_of(path)
        names.append(str(path) if folder is None else f"{temporary.name}/{i}.pt")
        if folder is not None:
            write_stand_in(Path(names[-1]), folder, known.precision)
    cfg._get_parent().common_eval.path = os.pathsep.join(names)
    return temporary


def take_part(cfg: JointGenerationConfig) -> None:
    """Each process of torchrun or Slurm does its part, unless --num-shards chooses."""
    if cfg.num_shards != 1:
        return
    index, shards = launched()
    if shards == 1:
        return
    if cfg.results_path:
        remedy = "use --joint-results-path, or give each its own with --num-shards and --shard-id"
        raise UserError(f"--results-path: {shards} processes would write one file; {remedy}")
    cfg.num_shards, cfg.shard_id = shards, index
    if cfg.joint_results_path:
        path = Path(cfg.joint_results_path)
        part = f"{path.stem}.shard-{index}-of-{shards}{path.suffix}"
        cfg.joint_results_path = str(path.with_name(part))
    if torch.cuda.is_available() and not cfg.cpu:
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())


@named_by_flags()
def build_generator(
    models: List[Any], args: Any, cfg: JointGenerationConfig, known: KnownModels
) -> JointGenerator:
    """``models`` as fairseq has loaded them from --path; ``args``: its own flags of generation."""
    formula = known.formula
    lm, energies, experts = _sorted(models, formula)
    if not args.sampling:
        raise UserError("--sampling: needed; text is drawn, not searched for")
    if args.nbest != args.beam:
        raise UserError(f"--nbest: {args.nbest}, but --beam is {args.beam}: give both the same")
    refuse_unused(args)
    window = cfg.window or known.window
    for model, path in zip((lm, *energies, *experts), formula.paths):
        require_positions("--window", path, model.max_positions(), window)
    options = GenerationOptions(
        joint_samples=cfg.joint_samples if energies or experts else args.beam,
        num_draws=args.beam,
        window=window,
        length=cfg.generation_length,
        chunk_length=cfg.chunk_length,
        rule=cfg.joint_sampler,
        beta=cfg.rejection_beta,
    )
    top_k, top_p = (max(0, limit) or None for limit in (args.sampling_topk, args.sampling_topp))
    truncation = Truncation(top_k, top_p, args.temperature, cfg.min_p)
    require_truncation(truncation, len(lm.decoder.dictionary))
    for model in models:
        model.eval()
        if cfg.bf16:
            model.to(torch.bfloat16)  # which fairseq-generate leaves out
    sampler = Sampler(lm, truncation, cfg.sampling_memory)
    joint = Joint(lm, sampler, energy_of(formula, energies, experts))
    return JointGenerator(joint, options, cfg, known)


def _sorted(models: List[Any], formula: Formula) -> Tuple[Any, List[Any], List[Any]]:
    """The base, energies and experts: fairseq has loaded them in the order of ``stand_ins``."""
    count = 1 + len(formula.energies)
    for model, path in zip(
        (models[0], *models[count:]), (formula.paths[0], *formula.paths[count:])
    ):
        if not isinstance(model, FairseqLanguageModel):
            raise UserError(f"--path: {path}: not a language model")
    return models[0], models[1:count], models[count:]
