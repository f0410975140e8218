"""``conditional_nce``: binary noise-contrastive estimation; at its optimum Z = 1."""

from fairseq.criterions import register_criterion
from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from ..numerics import losses
from .energy_criterion import EnergyCriterion


@register_criterion("conditional_nce", dataclass=FairseqDataclass)
class ConditionalNCECriterion(EnergyCriterion):
    calibrated = True

    def loss(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return losses.conditional_nce(positive, negatives)
