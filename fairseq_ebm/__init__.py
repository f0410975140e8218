"""Residual energy-based models of text, as a plugin for fairseq (``--user-dir fairseq_ebm``)."""

from .registration import register, when_fairseq_wants_it
from .verbs import public_name as __getattr__  # noqa: F401 (JointModel, run, EvalLM, …)
from .version import __version__

__all__ = ["__version__", "register"]

when_fairseq_wants_it()
