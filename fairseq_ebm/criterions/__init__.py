"""Criteria of energies. Importing this registers them."""

from . import losses  # noqa: F401
