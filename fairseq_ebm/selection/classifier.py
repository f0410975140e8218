"""``classifier``: the generic text that looks most like the specific one, whatever the model."""

from typing import Any, Tuple

from torch import Tensor

from ..numerics.selection import classifier_loss
from .system import Figures, Learned, Update


class Classifier(Learned):
    """Learns to tell specific text from all of the big batch, of which it takes the highest."""

    takes_highest = keeps_graph = True

    def loss(self, update: Update, landscape: Any) -> Tuple[Tensor, Figures]:
        specific = self.scores(update.specific)
        right = 0.5 * ((specific > 0).float().mean() + (update.scores <= 0).float().mean())
        return classifier_loss(update.scores, specific), {"accuracy": float(right)}
