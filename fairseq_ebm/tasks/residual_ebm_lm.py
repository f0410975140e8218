"""``residual_ebm_lm``: an energy on top of a frozen language model, from its negatives' stores."""

import dataclasses
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from fairseq.data import Dictionary
from fairseq.dataclass import FairseqDataclass
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.tasks import FairseqTask, register_task
from omegaconf import II

from ..criterions.energy_criterion import EnergyCriterion, in_words
from ..data.pairs import Pairs
from ..data.store import NegativesSubset, read_manifest
from ..data.tokenizers import DICTIONARY_NAME, load_dictionary, require_same_dictionary
from ..errors import UserError
from ..models.energy import EnergyModel
from ..models.initialisation import initialise

logger = logging.getLogger(__name__)


@dataclass
class ResidualEBMConfig(FairseqDataclass):
    data: str = field(
        default="",
        metadata={
            "help": "store of negatives, written by fairseq-ebm-negatives; several, joined by "
            "colons, are used as one",
            "positional": True,
        },
    )
    negatives_per_positive: int = field(
        default=1,
        metadata={
            "help": "generated windows for each real one, drawn anew from the store at each epoch; "
            "together they weigh as much as the real one"
        },
    )
    init_from: Optional[str] = field(
        default=None,
        metadata={
            "help": "checkpoint whose features the energy starts from: a transformer_lm for "
            "energy_transformer_lm; a RoBERTa, masked LM or transformer_lm for energy_roberta"
        },
    )
    seed: int = II("common.seed")


@register_task("residual_ebm_lm", dataclass=ResidualEBMConfig)
class ResidualEBMTask(FairseqTask):
    """Batches of real and generated windows; what they were made from goes into checkpoints."""

    def __init__(self, cfg: ResidualEBMConfig, stores: List[Path], dictionary: Dictionary) -> None:
        super().__init__(cfg)
        self.stores = stores
        self.dictionary = dictionary
        self._max_positions: Optional[int] = None
        self._update = 0
        manifests = [dataclasses.asdict(read_manifest(store)) for store in stores]
        self.state.merge_state_dict({"negatives": manifests})

    @classmethod
    def setup_task(cls, cfg: ResidualEBMConfig, **kwargs: Any) -> "ResidualEBMTask":
        stores = [Path(part) for part in cfg.data.split(":") if part]
        if not stores:
            raise UserError("no store of negatives given; fairseq-ebm-negatives makes one")
        manifests = [read_manifest(store) for store in stores]
        first = stores[0] / DICTIONARY_NAME
        for store in stores[1:]:
            other = store / DICTIONARY_NAME
            require_same_dictionary(first, other, f"{store}: made with {other}")
        truncated = [str(s) for s, m in zip(stores, manifests) if m.is_truncated]
        if truncated:
            logger.warning(
                f"negatives of {', '.join(truncated)} are not from the language model's own "
                "distribution: the energy will serve to tell text apart, not for a perplexity"
            )
        dictionary = load_dictionary(first)
        logger.info(f"dictionary: {len(dictionary)} symbols")
        return cls(cfg, stores, dictionary)

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> None:
        subsets = [NegativesSubset(store, split) for store in self.stores]
        for store, subset in zip(self.stores, subsets):
            if self._max_positions is not None and subset.window > self._max_positions:
                raise UserError(
                    f"{store}: windows of {subset.window} tokens, but the energy reads "
                    f"{self._max_positions} at most; raise --max-positions or "
                    "--max-target-positions"
                )
        training = split.startswith("train")
        self.datasets[split] = Pairs(
            subsets,
            self.dictionary.pad(),
            self.cfg.negatives_per_positive if training else self.negatives_in_validation,
            self.cfg.seed,
            training,
        )

    @property
    def negatives_in_validation(self) -> Optional[int]:
        """As in training, but always the same ones."""
        return int(self.cfg.negatives_per_positive)

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        arch = getattr(cfg, "_name", None) or cfg.arch
        if not issubclass(ARCH_MODEL_REGISTRY[arch], EnergyModel):
            raise UserError(
                f"--arch {arch}: not an energy; use energy_transformer_lm, energy_roberta, "
                "energy_bilstm, energy_linear or one of their presets"
            )
        model = super().build_model(cfg, from_checkpoint)
        self._max_positions = model.max_positions()
        if self.cfg.init_from and not from_checkpoint:
            initialise(model, Path(self.cfg.init_from), self.stores[0])
        return model

    def build_criterion(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        criterion = super().build_criterion(cfg, from_checkpoint)
        if not isinstance(criterion, EnergyCriterion):
            raise UserError(
                f"--criterion {cfg._name}: not for energies; "
                "use conditional_nce, ranking_nce or energy_ranking"
            )
        return criterion

    def train_step(
        self,
        sample: Dict[str, Any],
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
    ) -> Tuple[torch.Tensor, int, Dict[str, Any]]:
        self._update = update_num + 1
        try:
            return super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)
        except UserError as error:
            raise UserError(f"update {self._update}: {error}") from None

    def valid_step(
        self, sample: Dict[str, Any], model: Any, criterion: Any
    ) -> Tuple[torch.Tensor, int, Dict[str, Any]]:
        try:
            return super().valid_step(sample, model, criterion)
        except UserError as error:
            raise UserError(f"validation after update {self._update}: {error}") from None

    def post_validate(self, model: Any, stats: Any, meters: Any) -> None:
        """fairseq's trainer calls it after each validation."""
        logger.info(f"validation: {in_words(meters)}")

    def max_positions(self) -> Optional[int]:
        return self._max_positions

    @property
    def source_dictionary(self) -> Dictionary:
        return self.dictionary

    @property
    def target_dictionary(self) -> Dictionary:
        return self.dictionary
