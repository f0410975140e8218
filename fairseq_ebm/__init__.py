"""Residual energy-based models of text, as a plugin for fairseq (``--user-dir fairseq_ebm``)."""

from . import registration
from .registration import public_name as __getattr__  # noqa: F401 (JointModel, run, EvalLM, …)
from .registration import register
from .version import __version__

__all__ = ["__version__", "register"]

registration.when_fairseq_wants_it()
