"""Does a model find its own text likelier than real text? (Figure 3 of the first paper.)"""

from collections.abc import Sequence
from typing import Any, Dict, Optional

import numpy as np

from .pools import Generation


def densities(generations: Sequence[Generation]) -> Optional[Dict[str, Any]]:
    """log P of a model's own samples and of real text, under the language model and under the joint
    model; ``difference`` is that of their means, paired by prompt, with its standard error. A model
    of the data would have 0. None if proposals were truncated."""
    if any(each.truncated for each in generations):
        return None
    own = {
        "base": [each.base.log_lm for each in generations],
        "joint": [each.joint.log_joint for each in generations],
    }
    real = {
        "base": [each.real.log_lm for each in generations],
        "joint": [each.real.log_joint for each in generations],
    }
    return {name: _compare(np.array(own[name]), np.array(real[name])) for name in own}


def _compare(samples: np.ndarray, real: np.ndarray) -> Dict[str, Any]:
    differences = samples - real
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else None
    return {
        "samples": samples.tolist(),
        "real": real.tolist(),
        "difference": float(differences.mean()),
        "standard_error": None if error is None else float(error),
    }
