"""Models, one family per file. Importing a file registers what it defines."""

from . import (  # noqa: F401
    base_lm,
    energy_bilstm,
    energy_bow,
    energy_cnn,
    energy_hf,
    energy_linear,
    energy_ngram,
    energy_ratio,
    energy_roberta,
    energy_transformer_lm,
    hugging_face_lm,
    residual_lm,
)
