"""A base language model from a fairseq checkpoint, checked against the data it is to read."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from fairseq.models import FairseqLanguageModel

from ..data.store import sha256_of
from ..data.tokenizers import DICTIONARY_NAME, load_dictionary
from ..errors import UserError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class BaseLM:
    """``model`` in evaluation mode, on its device, in its precision: that is P_LM for the run."""

    model: Any
    dictionary: Dictionary
    sha256: str
    architecture: str
    right_to_left: bool
    precision: str

    @property
    def max_positions(self) -> int:
        return int(self.model.max_positions())


def load_base_lm(path: Path, data: Path, precision: str, device: torch.device) -> BaseLM:
    """Loads ``path`` for use with the dictionary of ``data``."""
    if not path.is_file():
        raise UserError(f"--path: {path}: no such file")
    if precision == "fp16" and device.type == "cpu":
        raise UserError("--fp16: needs a GPU; on the CPU use --bf16 or neither")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about how this fairseq loads checkpoints
        return _load(path, data, precision, device)


def _load(path: Path, data: Path, precision: str, device: torch.device) -> BaseLM:
    try:
        config = checkpoint_utils.load_checkpoint_to_cpu(str(path))["cfg"]
    except Exception as error:  # whatever unpickling raises
        raise UserError(
            f"--path: {path}: not a fairseq checkpoint ({type(error).__name__})"
        ) from None
    dictionary = load_dictionary(data / DICTIONARY_NAME)
    _check_dictionary(Path(str(config.task.data).split(":")[0]), data, dictionary)
    try:
        models, _, _ = checkpoint_utils.load_model_ensemble_and_task(
            [str(path)], arg_overrides={"data": str(data)}
        )
    except RuntimeError as error:
        raise UserError(
            f"--path: {path} does not fit {data / DICTIONARY_NAME} of {len(dictionary)} symbols "
            f"({str(error).splitlines()[-1].strip()})"
        ) from None
    model = models[0]
    if not isinstance(model, FairseqLanguageModel):
        raise UserError(f"--path: {path}: a {type(model).__name__} is not a language model")
    model.eval().to(device=device, dtype=DTYPES[precision])
    return BaseLM(
        model=model,
        dictionary=dictionary,
        sha256=sha256_of(path),
        architecture=str(getattr(config.model, "_name", None) or type(model).__name__),
        right_to_left=config.task._name == "right_to_left_language_modeling",
        precision=precision,
    )


def _check_dictionary(trained_on: Path, data: Path, dictionary: Dictionary) -> None:
    """A checkpoint has no dictionary of its own: look at its training data, if that is there."""
    path = trained_on / DICTIONARY_NAME
    if not path.exists():
        return
    known = load_dictionary(path)
    for i in range(max(len(known), len(dictionary))):
        ours = dictionary[i] if i < len(dictionary) else "nothing"
        theirs = known[i] if i < len(known) else "nothing"
        if ours != theirs:
            raise UserError(
                f"--path: trained with {path}, which differs from {data / DICTIONARY_NAME}: "
                f"symbol {i} is {theirs!r} there and {ours!r} here"
            )
