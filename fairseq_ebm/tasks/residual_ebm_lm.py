"""``residual_ebm_lm``: an energy on top of a frozen language model, from its negatives' stores; and
from prepared text, with fairseq's programs that generate, text of both (``joint_generation``)."""

import dataclasses
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Set, Tuple

import torch
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
from fairseq.tasks import register_task
from omegaconf import II

from ..criterions.energy_criterion import EnergyCriterion, in_words
from ..data.tokenizers import DICTIONARY_NAME, digest_of, require_same_dictionary
from ..errors import UserError
from ..models.by_heart import given_by
from ..models.checkpoint import SYMBOLS, read_energy, require_symbols
from ..models.energy import NEGATIVES, EnergyModel
from ..models.energy_hf import HuggingFaceEnergy
from ..models.energy_ratio import RatioEnergy
from ..models.hugging_face_body import require_same_model
from ..models.initialisation import initialise
from ..negatives.covered import covered_text
from ..negatives.pairs import Pairs
from ..negatives.store import MANIFEST_NAME, Manifest, NegativesSubset, read_manifest
from ..options import fairseq_flag
from .energy_task import EnergyTask
from .generation_config import JointGenerationConfig
from .joint_generation import JointGenerationTask
from .restored import restored_checkpoint

logger = logging.getLogger(__name__)

Step = Tuple[torch.Tensor, int, Dict[str, Any]]  # loss, windows, log


@dataclass
class ResidualEBMConfig(JointGenerationConfig):
    data: str = fairseq_flag(
        "",
        "store of negatives, written by fairseq-ebm negatives; several, joined by colons, are used "
        "as one. To generate: prepared text",
        positional=True,
    )
    negatives_per_positive: int = fairseq_flag(
        1,
        "generated windows for each real one, drawn anew from the store at each epoch; together "
        "they weigh as much as the real one",
    )
    init_from: Optional[str] = fairseq_flag(
        None,
        "checkpoint whose features the energy starts from: a transformer_lm for "
        "energy_transformer_lm; a RoBERTa, masked LM or transformer_lm for energy_roberta and the "
        "bidirectional part of energy_ratio",
    )
    seed: int = II("common.seed")
    train_subset: str = II("dataset.train_subset")
    valid_subset: str = II("dataset.valid_subset")
    max_tokens: Optional[int] = II("dataset.max_tokens")
    max_tokens_valid: Optional[int] = II("dataset.max_tokens_valid")
    save_dir: str = II("checkpoint.save_dir")
    restore_file: str = II("checkpoint.restore_file")
    checkpoint_suffix: str = II("checkpoint.checkpoint_suffix")
    continue_once: Optional[str] = II("checkpoint.continue_once")
    finetune_from_model: Optional[str] = II("checkpoint.finetune_from_model")


@register_task("residual_ebm_lm", dataclass=ResidualEBMConfig)
class ResidualEBMTask(EnergyTask):
    """Batches of real and generated windows; what they were made from goes into checkpoints."""

    def __init__(self, cfg: ResidualEBMConfig, stores: Dict[Path, Manifest]) -> None:
        super().__init__(cfg, next(iter(stores)))
        self.stores = list(stores)
        self._max_positions: Optional[int] = None
        self._reads_ahead: Any = None
        self._trains = False
        self._update = 0
        manifests = [dataclasses.asdict(manifest) for manifest in stores.values()]
        symbols = digest_of(self.dictionary)
        self.state.merge_state_dict({NEGATIVES: manifests, SYMBOLS: symbols})

    @classmethod
    def setup_task(cls, cfg: ResidualEBMConfig, **kwargs: Any) -> EnergyTask:
        paths = [Path(path) for path in cfg.data.split(os.pathsep) if path]
        if not paths:
            raise UserError("no store of negatives given; fairseq-ebm negatives makes one")
        is_text = (paths[0] / DICTIONARY_NAME).exists() and not (paths[0] / MANIFEST_NAME).exists()
        if is_text and len(paths) == 1:
            return JointGenerationTask(cfg, paths[0])
        stores = {path: read_manifest(path) for path in paths}
        first = next(iter(stores)) / DICTIONARY_NAME
        for store in stores:
            other = store / DICTIONARY_NAME
            require_same_dictionary(first, other, f"{store}: made with {other}")
        truncated = [str(store) for store, m in stores.items() if m.is_truncated]
        if truncated:
            use = "the energy will serve to tell text apart, not for a perplexity"
            what = "are not from the language model's own distribution"
            logger.warning(f"negatives of {', '.join(truncated)} {what}: {use}")
        return cls(cfg, stores)

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> None:
        subsets = [NegativesSubset(store, split) for store in self.stores]
        for store, subset in zip(self.stores, subsets):
            if self._max_positions is not None and subset.window > self._max_positions:
                raise UserError(
                    f"{store}: windows of {subset.window} tokens, but the energy reads "
                    f"{self._max_positions}; raise --max-positions or --max-target-positions, "
                    "where it has these (and with --init-from, start from a model with so many)"
                )
        training = self._trains and split == self.cfg.train_subset
        negatives = self.cfg.negatives_per_positive if training else self.negatives_in_validation
        padding, seed = self.dictionary.pad(), self.cfg.seed
        pairs = Pairs(subsets, padding, negatives, seed, training, self._reads_ahead)
        flag = "max_tokens" if training else "max_tokens_valid"
        limit, needed = getattr(self.cfg, flag), int(pairs.num_tokens_vec(slice(None)).max())
        if limit is not None and limit < needed:
            what = f"a real window and its {pairs.negatives} negatives are {needed} tokens"
            raise UserError(f"--{flag.replace('_', '-')} {limit}: {what}")
        self.datasets[split] = pairs

    @property
    def negatives_in_validation(self) -> Optional[int]:
        """As in training, but always the same ones."""
        return int(self.cfg.negatives_per_positive)

    def has_sharded_data(self, split: str) -> bool:
        """To fairseq, colons mean parts of the data, one an epoch; here they mean a union."""
        return False

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        arch = getattr(cfg, "_name", None) or cfg.arch
        if not issubclass(ARCH_MODEL_REGISTRY[arch], EnergyModel):
            ours = [n for n, family in MODEL_REGISTRY.items() if issubclass(family, EnergyModel)]
            use = f"use {', '.join(ours)} or one of their presets"
            raise UserError(f"--arch {arch}: not an energy; {use}")
        model = super().build_model(cfg, from_checkpoint)
        self._max_positions, self._reads_ahead = model.max_positions(), model.reads_ahead
        self._trains = not from_checkpoint
        if self._trains:
            before = restored_checkpoint(self.cfg)
            if before is not None:
                self._go_on_from(before, model)
            else:
                self._begin(model)
        return model

    def _begin(self, model: EnergyModel) -> None:
        if self.cfg.init_from:
            initialise(model, Path(self.cfg.init_from), self.data)
        if model.counts is not None:
            model.counts.count(covered_text(self.stores, self.cfg.train_subset))
            if self.cfg.train_subset in (self.cfg.valid_subset or "").split(","):
                told = "what was counted tells real text, and means nothing for other text"
                logger.warning(f"--valid-subset {self.cfg.train_subset}, with --counts: {told}")

    def _go_on_from(self, path: Path, model: EnergyModel) -> None:
        """fairseq's trainer does not give a task its state back: take it from the checkpoint."""
        whole = read_energy(path, "going on from a checkpoint")
        state = whole["task_state"]
        require_symbols(state, self.dictionary, str(path), self.data)
        now = self.state.negatives
        if model.counts_from_given and given_by(now) != given_by(state[NEGATIVES]):
            elsewhere = "its continuations begin elsewhere than those of this store"
            raise UserError(f"going on from {path}: {elsewhere}; use prefixes of one length")
        counted = (known(state[NEGATIVES]), whole["cfg"]["dataset"]["train_subset"])
        if model.counts is not None and counted != (known(now), self.cfg.train_subset):
            elsewhere = "what it has counted (--counts) is the text of other stores or subsets"
            raise UserError(f"going on from {path}: {elsewhere}; begin anew")
        before = [manifest for manifest in state[NEGATIVES] if manifest not in now]
        self.state.merge_state_dict({NEGATIVES: [*now, *before]})
        if self.cfg.init_from:
            logger.info(f"going on from {path}: --init-from is not read again")
        if isinstance(model, HuggingFaceEnergy):
            require_same_model(path, state, self.state.state_dict)
        if isinstance(model, RatioEnergy):
            logger.info(f"going on from {path}: both language models are those in it")

    def build_criterion(self, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        criterion = super().build_criterion(cfg, *args, **kwargs)
        if not isinstance(criterion, EnergyCriterion):
            ours = "conditional_nce, ranking_nce or energy_ranking"
            raise UserError(f"--criterion {cfg._name}: not for energies; use {ours}")
        return criterion

    def train_step(
        self, sample: Any, model: Any, criterion: Any, optimizer: Any, update_num: int, **more: Any
    ) -> Step:
        self._update = update_num + 1
        try:
            return super().train_step(sample, model, criterion, optimizer, update_num, **more)
        except UserError as error:
            raise UserError(f"update {self._update}: {error}") from None

    def valid_step(self, *args: Any, **more: Any) -> Step:
        try:
            return super().valid_step(*args, **more)
        except UserError as error:
            when = f" after update {self._update}" if self._update else ""
            raise UserError(f"validation{when}: {error}") from None

    def post_validate(self, model: Any, stats: Any, meters: Any) -> None:
        """fairseq's trainer calls it after each validation."""
        logger.info(f"validation: {in_words(meters)}")

    def build_generator(self, models: List[Any], args: Any, *others: Any, **kwargs: Any) -> Any:
        raise UserError(f"{self.data}: a store of negatives; generation wants prepared text")

    def max_positions(self) -> Optional[int]:
        return self._max_positions


def known(manifests: Iterable[Mapping[str, Any]]) -> Set[str]:
    """Stores, whatever was added to them later, by whichever version."""
    changing = ("subsets", "versions")
    return {
        json.dumps({k: v for k, v in manifest.items() if k not in changing}, sort_keys=True)
        for manifest in manifests
    }
