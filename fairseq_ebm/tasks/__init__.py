"""fairseq tasks, one a file: they wire data to models. Importing a file registers its task."""

from . import (  # noqa: F401
    data_selection_lm,
    real_fake_discrimination,
    residual_ebm_lm,
    right_to_left_language_modeling,
)
