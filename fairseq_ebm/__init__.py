"""Residual energy-based models of text, as a plugin for fairseq (``--user-dir fairseq_ebm``).

Importing the package registers its tasks, criteria and models: fairseq itself scans only some of
the folders, and none once the package has been imported.
"""

import argparse
import logging

import torch

# fairseq's speech tasks advise at every start to install what nothing here uses.
logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)

# One of fairseq's speech models has everyone's debugging messages printed from when it is imported.
_before = logging.root.level, logging.root.handlers[:]
import fairseq  # noqa: E402, F401

logging.root.setLevel(_before[0])
logging.root.handlers[:] = _before[1]

# Older models of fairseq (RoBERTa, LSTMs, convolutions) keep their flags in checkpoints as a
# Namespace: a plain container, which torch.load refuses from version 2.6 on unless it is told.
torch.serialization.add_safe_globals([argparse.Namespace])

from . import criterions, models, tasks  # noqa: E402, F401  (registration is the purpose)
from .joint.api import JointModel  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ["JointModel", "__version__"]
