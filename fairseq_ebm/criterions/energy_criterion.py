"""From a batch to a loss and its log: what all criteria of energies share."""

from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch
from fairseq.criterions import FairseqCriterion
from fairseq.logging import metrics
from torch import Tensor

from ..errors import UserError
from ..numerics.discrimination import credit_above, credit_first

Log = Dict[str, Any]


class EnergyCriterion(FairseqCriterion):
    """Losses are in nats, summed over windows; the trainer divides by their number.

    ``calibrated``: the loss ties energies to the threshold 0, so that the accuracy there has a
    meaning. Losses that only compare energies do not.
    """

    calibrated = False

    def loss(self, positive: Tensor, negatives: Tensor) -> Tensor:
        """Energies (B,) of real and (B, K) of generated continuations -> (B,)"""
        raise NotImplementedError

    def forward(self, model: Any, sample: Dict[str, Any]) -> Tuple[Tensor, int, Log]:
        energies = model(**sample["net_input"]).float()  # (B, 1 + K)
        require_finite(energies, sample["id"])
        positive, negatives = energies[:, 0], energies[:, 1:]
        losses = self.loss(positive, negatives)
        with torch.no_grad():
            log = self._log(positive, negatives, losses)
        log.update({name: sample[name] for name in ("nsentences", "ntokens")})
        return losses.sum(), len(losses), log

    def _log(self, positive: Tensor, negatives: Tensor, losses: Tensor) -> Log:
        """Sums, so that those of workers and steps can be added up."""
        knowing_nothing = self.loss(torch.zeros_like(positive), torch.zeros_like(negatives))
        log: Log = {
            "loss": losses.sum().double(),
            "knowing_nothing": knowing_nothing.sum().double(),
            "sample_size": len(losses),
            "n_generated": negatives.numel(),
            "first": credit_first(positive, negatives).sum(),
            "energy_real": positive.double().sum(),
            "energy_generated": negatives.double().sum(),
        }
        if self.calibrated:
            log["right_real"] = (1 - credit_above(positive, 0.0)).sum()
            log["right_generated"] = credit_above(negatives, 0.0).sum()
        return log

    @classmethod
    def reduce_metrics(cls, logging_outputs: List[Log]) -> None:
        def total(name: str) -> float:
            return float(sum(log.get(name, 0) for log in logging_outputs))

        def mean(name: str, summed: str, count: float, digits: Optional[int] = None) -> None:
            metrics.log_scalar(name, total(summed) / count, count, round=digits)

        real, generated = total("sample_size"), total("n_generated")
        if real == 0:
            return
        mean("loss", "loss", real, 5)
        mean("_knowing_nothing", "knowing_nothing", real)
        metrics.log_derived("gain", _gain)
        if cls.calibrated:
            mean("_right_real", "right_real", real)
            mean("_right_generated", "right_generated", generated)
            metrics.log_derived("accuracy", _accuracy)
        mean("p_at_1", "first", real, 4)
        metrics.log_scalar("_chance_at_1", 1.0 / (1.0 + generated / real), real)
        mean("energy_real", "energy_real", real, 3)
        mean("energy_generated", "energy_generated", generated, 3)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True


def require_finite(energies: Tensor, ids: Tensor) -> None:
    """Checks the energies (B, ...) of the windows ``ids`` (B,)."""
    finite = torch.isfinite(energies).flatten(1).all(dim=1)
    if not bool(finite.all()):
        bad = ids[~finite.to(ids.device)].tolist()
        windows = ", ".join(map(str, bad[:3])) + (f" and {len(bad) - 3} more" if bad[3:] else "")
        remedy = "lower --lr, warm up for longer, or clip with --clip-norm"
        raise UserError(f"energies are not finite: windows {windows}; {remedy}")


def _mean(meters: Mapping[str, Any], name: str) -> float:
    return float(meters[name].avg)


def _gain(meters: Mapping[str, Any]) -> float:
    """How far the loss is below that of E = 0, in nats."""
    return round(_mean(meters, "_knowing_nothing") - _mean(meters, "loss"), 4)


def _accuracy(meters: Mapping[str, Any]) -> float:
    return round(0.5 * (_mean(meters, "_right_real") + _mean(meters, "_right_generated")), 4)


def in_words(meters: Mapping[str, Any]) -> str:
    """The result of a validation as a sentence."""
    loss, chance = _mean(meters, "loss"), _mean(meters, "_knowing_nothing")
    side = "below" if loss < chance else "above (worse than)" if loss > chance else "from"
    words = [
        f"loss {loss:.4f} nats, {abs(chance - loss):.4f} {side} the {chance:.4f} of an energy "
        "that knows nothing"
    ]
    if "_right_real" in meters:
        words.append(f"accuracy {_accuracy(meters):.1%} (chance 50%)")
    first, by_chance = _mean(meters, "p_at_1"), _mean(meters, "_chance_at_1")
    real, generated = _mean(meters, "energy_real"), _mean(meters, "energy_generated")
    words += [
        f"the real continuation has the lowest energy in {first:.1%} (chance {by_chance:.1%})",
        f"mean energy {real:.2f} of real and {generated:.2f} of generated text",
    ]
    return "; ".join(words)
