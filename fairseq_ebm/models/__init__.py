"""Models, one family a file. Importing a file registers what it defines."""

from . import base_lm  # noqa: F401
