"""``ranking_nce``: picks the real continuation; energies up to a constant for each prefix."""

from fairseq.criterions import register_criterion
from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from ..numerics import losses
from .energy_criterion import EnergyCriterion


@register_criterion("ranking_nce", dataclass=FairseqDataclass)
class RankingNCECriterion(EnergyCriterion):
    def loss(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return losses.ranking_nce(positive, negatives)
