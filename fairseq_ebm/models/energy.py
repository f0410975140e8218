"""What all energies share: windows in, one number per window out; low means real."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, List, Mapping, Optional

import torch
import torch.nn.functional as F
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.models import BaseFairseqModel
from fairseq.models.transformer import TransformerConfig
from torch import Tensor, nn

from ..errors import UserError
from ..options import fairseq_flag
from .by_heart import ByHeart, given_by
from .counts import BITS as COUNT_BITS
from .counts import CountTable
from .ngrams import BITS, MOST_BITS, NgramTable
from .repeats import RepeatTable

BY_HEART = ("ngrams", "counts", "repeats")
NEGATIVES = "negatives"  # in fairseq's ``task_state``: manifests of the stores to train on


@dataclass
class EnergyConfig(FairseqDataclass):
    ngrams: int = fairseq_flag(
        0,
        "learn a number for every sequence of up to so many symbols by heart, too, and add those "
        "of the continuation up; 0: none",
    )
    ngram_bits: int = fairseq_flag(
        BITS, f"sequences share 2 to this power of numbers, at most {MOST_BITS}"
    )
    counts: int = fairseq_flag(
        0,
        "learn what it means how often the training text has the sequences of up to so many "
        "symbols that end at each symbol of the continuation; 0: nothing",
    )
    count_bits: int = fairseq_flag(
        COUNT_BITS, f"sequences share 2 to this power of counts, at most {MOST_BITS}"
    )
    repeats: int = fairseq_flag(
        0,
        "learn what it means that a sequence of up to so many symbols stood in the window before; "
        "0: nothing",
    )


@dataclass
class PooledEnergyConfig(EnergyConfig):
    energy_pooling: ChoiceEnum(("mean", "sum", "first", "last")) = fairseq_flag(  # type: ignore[valid-type]
        "mean",
        "features that are projected to the energy: their mean or sum over all positions, those of "
        "the first or those of the last; padding never counts",
    )


Activation: Any = ChoiceEnum(utils.get_available_activation_fns())


@dataclass
class TransformerEnergyConfig(PooledEnergyConfig):
    """Flags of both kinds of transformers, with the defaults of fairseq's ``transformer_lm``."""

    activation_fn: Activation = fairseq_flag("relu", "activation function of feed-forward parts")
    dropout: float = fairseq_flag(0.1, "dropout of all layers' outputs")
    attention_dropout: float = fairseq_flag(0.0, "dropout of attention")
    activation_dropout: float = fairseq_flag(0.0, "dropout inside the feed-forward parts")
    no_token_positional_embeddings: bool = fairseq_flag(False, "no positions at all")


def transformer_config(cfg: Any, flags: type, **derived: Any) -> TransformerConfig:
    """fairseq's own, from a family's ``flags`` in ``cfg`` and what is ``derived`` from them."""
    given = {each.name: getattr(cfg, each.name) for each in fields(flags)}
    return TransformerConfig.from_namespace(Namespace(**given, **derived))


def manifests_of(task: Any) -> List[Mapping[str, Any]]:
    """Of the stores that ``task`` trains on, or that what it loads was trained on."""
    state = getattr(task, "state", None)
    return [] if state is None else list(state.state_dict.get(NEGATIVES, ()))


class EnergyModel(BaseFairseqModel):
    """``model(windows)`` is ``(B, M)`` for ``windows (B, M, T)``, padded at the end.

    The M windows in a row may begin with the same ``shared`` tokens: an energy may make use of
    that, but need not.
    """

    def __init__(self, cfg: Any, dictionary: Dictionary) -> None:
        super().__init__()
        self.padding = dictionary.pad()
        self.ngrams: Optional[NgramTable] = None  # what it knows by heart, beside what it computes
        self.counts: Optional[CountTable] = None
        self.repeats: Optional[RepeatTable] = None

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "EnergyModel":
        model = cls.make(cfg, task)
        longest = {name: getattr(cfg, name, 0) for name in BY_HEART}  # older checkpoints have none
        bits = {name: getattr(cfg, name, BITS) for name in ("ngram_bits", "count_bits")}
        _require_sizes(longest, bits)
        given, padding = given_by(manifests_of(task)), model.padding
        if longest["ngrams"]:
            model.ngrams = NgramTable(longest["ngrams"], padding, given, bits["ngram_bits"])
        if longest["counts"]:
            model.counts = CountTable(longest["counts"], padding, given, bits["count_bits"])
        if longest["repeats"]:
            symbols = len(task.dictionary)
            model.repeats = RepeatTable(longest["repeats"], symbols, padding, given)
        return model

    @classmethod
    def make(cls, cfg: Any, task: Any) -> "EnergyModel":
        return cls(cfg, task.dictionary)

    def forward(
        self, windows: Tensor, shared: int = 0, real: Optional[Tensor] = None, **more: Any
    ) -> Tensor:
        """``real`` (B, T): the window of the training text that a row is about; in training mode
        the row's first. Whatever counts that text leaves it out. ``more``: what ``reads_ahead``
        has made of the windows."""
        real = windows[:, 0] if real is None and self.training else real
        return self._with_by_heart(self.of_rows(windows, shared, **more), windows, real)

    def energy(self, tokens: Tensor) -> Tensor:
        """(N, T) -> (N,)"""
        return self._with_by_heart(self.of_windows(tokens)[None], tokens[None])[0]

    @property
    def by_heart(self) -> List[ByHeart]:
        parts = (getattr(self, name) for name in BY_HEART)
        return [part for part in parts if part is not None]

    @property
    def counts_from_given(self) -> bool:
        """Whether E depends on where continuations began in the stores that it was trained on."""
        return bool(self.by_heart)

    @property
    def reads_ahead(self) -> Optional[Callable[[Tensor], Tensor]]:
        """What those who make batches may do with windows (N, T) while the model is busy; it is
        given as ``read``."""
        return None

    def of_rows(self, windows: Tensor, shared: int) -> Tensor:
        """What a family computes for ``forward``: (B, M, T) -> (B, M)"""
        return self.of_windows(windows.flatten(0, 1)).view(windows.shape[:2])

    def of_windows(self, tokens: Tensor) -> Tensor:
        """What a family computes: (N, T) -> (N,)"""
        raise NotImplementedError

    def _with_by_heart(
        self, energies: Tensor, windows: Tensor, real: Optional[Tensor] = None
    ) -> Tensor:
        """(B, M), (B, M, T) -> (B, M)"""
        for part in self.by_heart:
            energies = energies.float() + part(windows, real)
        return energies

    def token_embedding(self) -> nn.Embedding:
        """Where tokens become vectors; ``of_windows`` calls it once, with an input that ends in
        the window."""
        raise NotImplementedError

    def max_positions(self) -> int:
        """The longest window that the energy can read."""
        return 1 << 30  # no limit, unless a family has one


def _require_sizes(longest: Mapping[str, int], bits: Mapping[str, int]) -> None:
    for name, value in longest.items():
        if value < 0:
            raise UserError(f"--{name}: {value} is below 0")
    for name, value in bits.items():
        if not 0 < value <= MOST_BITS:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag}: {value} is not between 1 and {MOST_BITS}")


class EnergyHead(nn.Module):
    """Features -> energies: one position, or the mean or sum of all, projected to a number.

    It starts at zero, so that training starts from the base LM: E = 0, Z = 1.
    """

    def __init__(self, width: int, pooling: Any) -> None:
        super().__init__()
        self.pooling = str(pooling)
        self.projection = nn.Linear(width, 1)
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, features: Tensor, is_token: Tensor) -> Tensor:
        """Features (N, S, d), of which ``is_token`` (N, S) are not padding -> (N,)"""
        return self.project(self.pool(features, is_token))

    def pool(self, features: Tensor, is_token: Tensor) -> Tensor:
        """(N, S, d), (N, S) -> (N, d)"""
        if self.pooling == "first":
            return features[:, 0]
        if self.pooling == "last":
            last = is_token.sum(dim=1) - 1
            return features[torch.arange(len(features), device=last.device), last]
        return self.of_total(self.total(features, is_token), is_token)

    def of_total(self, total: Tensor, is_token: Tensor) -> Tensor:
        """From the sum (N, d) over the positions that ``is_token`` (N, T) counts."""
        return total if self.pooling == "sum" else total / is_token.sum(dim=1, keepdim=True)

    def total(self, features: Tensor, is_token: Tensor) -> Tensor:
        """Sum over positions (N, d) in float32; padding may hold anything, even NaN."""
        return features.masked_fill(~is_token.unsqueeze(-1), 0.0).sum(dim=1, dtype=torch.float32)

    def project(self, pooled: Tensor) -> Tensor:
        """(N, d) -> (N,), in float32: in half precision different energies would become equal."""
        weight, bias = self.projection.weight.float(), self.projection.bias.float()
        return F.linear(pooled.float(), weight, bias).squeeze(-1)
