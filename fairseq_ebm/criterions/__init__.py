"""Criteria, one per file: thin wrappers of ``numerics.losses``. Importing a file registers it."""

from . import conditional_nce, energy_ranking, ranking_nce  # noqa: F401
