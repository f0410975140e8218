"""``real_fake_discrimination``: telling real text from generated, whatever its density."""

from dataclasses import dataclass
from typing import Any, Dict, Optional

import torch
from fairseq.tasks import register_task

from ..errors import UserError
from ..numerics.losses import hardest_negative
from ..options import fairseq_flag
from .residual_ebm_lm import ResidualEBMConfig, ResidualEBMTask, Step


@dataclass
class RealFakeConfig(ResidualEBMConfig):
    hard_negatives: bool = fairseq_flag(
        False,
        "of the --negatives-per-positive, train on the one with the lowest energy; better at "
        "telling apart, but no density any more",
    )


@register_task("real_fake_discrimination", dataclass=RealFakeConfig)
class RealFakeDiscriminationTask(ResidualEBMTask):
    """As ``residual_ebm_lm``; validation ranks each real window among all of its negatives."""

    @classmethod
    def setup_task(cls, cfg: RealFakeConfig, **kwargs: Any) -> "RealFakeDiscriminationTask":
        if cfg.hard_negatives and cfg.negatives_per_positive < 2:
            raise UserError("--hard-negatives: needs --negatives-per-positive of 2 or more")
        return super().setup_task(cfg, **kwargs)

    @property
    def negatives_in_validation(self) -> Optional[int]:
        return None

    def train_step(self, sample: Any, model: Any, *args: Any, **more: Any) -> Step:
        if self.cfg.hard_negatives:
            sample = keep_hardest(model, sample)
        return super().train_step(sample, model, *args, **more)


@torch.no_grad()
def keep_hardest(model: Any, sample: Dict[str, Any]) -> Dict[str, Any]:
    """The batch with one negative a window, the one with the lowest energy: (B, 2, T)."""
    windows, shared = sample["net_input"]["windows"], sample["net_input"]["shared"]
    model.eval()
    hardest = hardest_negative(model(windows[:, 1:], shared, windows[:, 0]))
    kept = windows[torch.arange(len(windows)), 1 + hardest]
    pairs = torch.stack([windows[:, 0], kept], dim=1)
    return {**sample, "net_input": {"windows": pairs, "shared": shared}}
