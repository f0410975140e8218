"""``energy_ratio``: an energy that begins where a better language model stands.

    E(x) = Σ_i [log P_LM(x_i|x_<i) − log P_start(x_i|x_<i)] + E_both(x)        i in the continuation

At the beginning E_both is 0, so that P_LM exp(−E) is P_start and Z is 1; training goes on from
there. A verdict on a window says little about each of its tokens; likelihood, by which P_start was
trained, says it outright. What likelihood does not reach, NCE may.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Mapping, Optional

import torch
from fairseq.data import Dictionary
from fairseq.models import register_model
from torch import Tensor, nn

from ..errors import UserError
from ..files import sha256_of
from ..lm.continuations import continuation_log_probs
from ..lm.product import Frozen
from ..options import fairseq_flag
from .enclosed import build, take_in
from .energy import EnergyModel, manifests_of
from .energy_roberta import BidirectionalEnergy, BidirectionalEnergyConfig

FLAGS = {"base_lm": "--base-lm", "start_lm": "--start-lm"}
RATIO = "ratio"  # in fairseq's ``task_state``: how to build both language models


@dataclass
class RatioEnergyConfig(BidirectionalEnergyConfig):
    """The flags of the bidirectional part, which there need not be."""

    base_lm: Optional[str] = fairseq_flag(
        None, "checkpoint of the language model that wrote the negatives; copied, never trained"
    )
    start_lm: Optional[str] = fairseq_flag(
        None, "checkpoint of the language model to begin as: copied into this model's checkpoints"
    )
    freeze_start: bool = fairseq_flag(False, "train only what is added to the ratio")
    encoder_layers: int = fairseq_flag(0, "layers of the bidirectional part; 0: there is none")


@register_model("energy_ratio", dataclass=RatioEnergyConfig)
class RatioEnergy(EnergyModel):
    """``prefix``: where continuations begin; kept among the weights: it decides what E means."""

    prefix: Tensor

    def __init__(
        self, cfg: RatioEnergyConfig, dictionary: Dictionary, base: Any, start: Any, prefix: int
    ) -> None:
        super().__init__(cfg, dictionary)
        self.base, self.start = Frozen(base.decoder), start.decoder
        if cfg.freeze_start:
            self.start.requires_grad_(False)
        self.both = BidirectionalEnergy(cfg, dictionary) if cfg.encoder_layers else None
        self.register_buffer("prefix", torch.tensor(prefix))

    @classmethod
    def make(cls, cfg: RatioEnergyConfig, task: Any) -> "RatioEnergy":
        recipes = task.state.state_dict.get(RATIO)
        if recipes is not None:  # from a checkpoint, which has the weights
            base, start = (build(recipes[part], task.dictionary) for part in ("base", "start"))
            return cls(cfg, task.dictionary, base, start, 0)
        prefix = _prefix(cfg, manifests_of(task))
        (base, of_base), (start, of_start) = (
            take_in(Path(getattr(cfg, name)), task.data, flag) for name, flag in FLAGS.items()
        )
        if getattr(start.decoder, "adaptive_softmax", None) is not None and not cfg.freeze_start:
            problem = "has an adaptive softmax, which has no gradients here; add --freeze-start"
            raise UserError(f"--start-lm: {cfg.start_lm}: {problem}")
        task.state.merge_state_dict({RATIO: {"base": of_base, "start": of_start}})
        return cls(cfg, task.dictionary, base, start, prefix)

    @property
    def counts_from_given(self) -> bool:
        return True

    def of_rows(self, windows: Tensor, shared: int) -> Tensor:
        prefix = int(self.prefix)
        with torch.no_grad():
            ratio = continuation_log_probs(self.base.decoder, windows, prefix, shared)
        ratio = ratio - continuation_log_probs(self.start, windows, prefix, shared)
        padding = windows[:, :, prefix:] == self.padding
        energies = ratio.masked_fill(padding, 0.0).sum(dim=2)
        return energies if self.both is None else energies + self.both(windows, shared)

    def of_windows(self, tokens: Tensor) -> Tensor:
        return self.of_rows(tokens.unsqueeze(1), 0).squeeze(1)

    def token_embedding(self) -> nn.Embedding:
        raise UserError("an energy_ratio has several embeddings, and so no gradients at one")

    def max_positions(self) -> int:
        parts = [part for part in (self.base.decoder, self.start, self.both) if part is not None]
        return int(min(super().max_positions(), *(part.max_positions() for part in parts)))


def _prefix(cfg: RatioEnergyConfig, manifests: List[Mapping[str, Any]]) -> int:
    """The prefix length of stores that this kind of energy can be trained on."""
    for name, flag in FLAGS.items():
        if not getattr(cfg, name):
            raise UserError(f"{flag}: needed by --arch energy_ratio")
        if not Path(getattr(cfg, name)).is_file():
            raise UserError(f"{flag}: {getattr(cfg, name)}: no such file")
    lms = {manifest["source"].get("language_model", {}).get("sha256") for manifest in manifests}
    assert cfg.base_lm is not None
    if lms != {sha256_of(Path(cfg.base_lm))}:
        raise UserError(f"--base-lm: {cfg.base_lm} has not written all of the negatives")
    prefixes = {p for manifest in manifests for p in manifest["options"]["prefix_length"]}
    if len(prefixes) > 1 or any(m["options"]["right_to_left"] for m in manifests):
        needed = "negatives from left to right, all with prefixes of one length"
        raise UserError(f"--arch energy_ratio: needs {needed}")
    return int(prefixes.pop())
