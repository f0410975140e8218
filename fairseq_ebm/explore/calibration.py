"""What a store of negatives says about an energy's value: real and generated windows, cut to the
length of the text that is judged, and their energies."""

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ..data.tokenizers import DICTIONARY_NAME, require_same_dictionary
from ..detection.metrics import Scores
from ..detection.stores import chosen
from ..errors import UserError
from ..joint.checkpoints import LoadedJoint
from ..joint.model import Joint
from ..negatives.store import NegativesSubset
from ..options import Record
from ..weaknesses.units import stacked
from .options import Explore

AT_ONCE = 32  # windows of a step
BARS = 40
UNUSUAL = 0.99  # of real windows are likelier, or less likely, than a text that is unlike them
KEPT = 16  # lengths whose energies are kept

Progress = Tuple[int, int]  # done, of how many


class Windows(NamedTuple):
    real: Tensor  # (W, T)
    generated: Tensor

    @property
    def both(self) -> Tensor:
        return torch.cat([self.real, self.generated])


@dataclass(frozen=True)
class AtLength:
    """Of windows cut to so many tokens: their energies, and -log P_LM of a token (real ones)."""

    valid: Scores
    shown: Scores
    nll: np.ndarray

    @cached_property
    def _fitted(self) -> Tuple[float, float]:
        """(a, b): log-odds a + b E that a text is generated, if both kinds are equally frequent."""
        is_generated, energies = self.valid.labels()
        found = LogisticRegression(class_weight="balanced").fit(energies[:, None], is_generated)
        return float(found.intercept_[0]), float(found.coef_[0, 0])

    @property
    def threshold(self) -> Optional[float]:
        """Where both kinds are equally probable. None: at this length generated text has no higher
        energies than real text has."""
        a, b = self._fitted
        return -a / b if b > 0 else None

    def probability(self, energy: float) -> Optional[float]:
        """That a text is generated."""
        a, b = self._fitted
        return float(expit(a + b * energy)) if b > 0 else None

    def looks(self, energy: float) -> Optional[str]:
        probability = self.probability(energy)
        return None if probability is None else "generated" if probability >= 0.5 else "real"

    def unlike(self, nll: float) -> Optional[str]:
        """How a text is unlike the real ones, if it is."""
        low, high = np.quantile(self.nll, [1 - UNUSUAL, UNUSUAL])
        return "less" if nll > high else "more" if nll < low else None

    def record(self, energy: float) -> Record:
        real, generated = self.shown.real, self.shown.generated.ravel()
        edges = np.histogram_bin_edges(np.concatenate([real, generated]), BARS)
        counts = {
            name: np.histogram(values, edges)[0].tolist()
            for name, values in (("real", real), ("generated", generated))
        }
        line = self.threshold
        right = None
        if line is not None:
            right = float((real < line).mean() + (generated >= line).mean()) / 2
        return {
            "edges": edges.tolist(),
            **counts,
            "num_real": len(real),
            "threshold": line,
            "accuracy": right,
            "probability": self.probability(energy),
            "looks": self.looks(energy),
            "false_alarms": int((real >= energy).sum()),
            "missed": int((generated < energy).sum()),
        }


@dataclass(frozen=True)
class Calibration:
    joint: Joint
    valid: Windows
    shown: Windows
    shown_name: str
    prefix_length: int  # tokens that a generated window has of a real one, at most
    _found: Dict[int, AtLength] = field(default_factory=dict)

    @property
    def window(self) -> int:
        return self.valid.real.size(1)

    def at(self, length: int) -> Generator[Progress, None, AtLength]:
        """Step by step, unless it is known."""
        if length not in self._found:
            if len(self._found) >= KEPT:
                self._found.pop(next(iter(self._found)))
            kinds = [self.valid] if self.shown is self.valid else [self.valid, self.shown]
            cut = torch.cat([windows.both for windows in kinds])[:, :length]
            energies, nll = [], []
            for part in cut.split(AT_ONCE):
                energies.append(self.joint.energies(part.unsqueeze(1), 0)[:, 0])
                nll.append(-self.joint.token_log_probs(part, 0).mean(dim=1))
                yield min(len(cut), AT_ONCE * len(energies)), len(cut)
            self._found[length] = self._sorted(torch.cat(energies), torch.cat(nll))
        return self._found[length]

    def _sorted(self, energies: Tensor, nll: Tensor) -> AtLength:
        if not np.isfinite(energies.numpy()).all():
            raise UserError("--store: the energy of one of its windows is not finite")
        size = len(self.valid.real)
        parts = [energies[: 2 * size], energies[2 * size :]]
        valid, shown = (Scores(*(half.numpy() for half in part.chunk(2))) for part in parts)
        return AtLength(valid, shown if len(parts[1]) else valid, nll[:size].numpy())


def calibration_of(store: Path, options: Explore, joint: Joint, models: LoadedJoint) -> Calibration:
    valid = NegativesSubset(store, "valid")
    problem = f"--store: {store}: made with another dictionary"
    require_same_dictionary(options.data / DICTIONARY_NAME, store / DICTIONARY_NAME, problem)
    models.require_window(valid.window)
    if valid.manifest.right_to_left:
        raise UserError(f"--store: {store}: its text was generated right to left")
    name = "test" if "test" in valid.manifest.subsets else "valid"
    windows, prefix = _windows(valid, options)
    shown = windows if name == "valid" else _windows(NegativesSubset(store, name), options)[0]
    return Calibration(joint, windows, shown, name, prefix)


def _windows(subset: NegativesSubset, options: Explore) -> Tuple[Windows, int]:
    """And the longest prefix that the two of a pair share."""
    examples: List[Any] = [subset[i] for i in chosen(subset, options.calibration, options.seed)]
    real = stacked([example.real for example in examples])
    generated = stacked([example.negatives[0] for example in examples])
    return Windows(real, generated), max(example.prefix_length for example in examples)
