"""Loads a base language model from a fairseq checkpoint, checked against the data it will read."""

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Tuple

import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from fairseq.models import FairseqLanguageModel
from omegaconf import OmegaConf

from ..data.tokenizers import DICTIONARY_NAME, load_dictionary, require_same_dictionary
from ..errors import OptionError, UserError
from ..files import require_complete, sha256_of
from ..registration import register
from . import hugging_face

# fairseq's older models (RoBERTa, LSTMs, convolutions) keep their flags in checkpoints as a
# Namespace: a plain container, which torch.load refuses from version 2.6 on unless it is told.
torch.serialization.add_safe_globals([argparse.Namespace])

RIGHT_TO_LEFT = "right_to_left_language_modeling"  # the task
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Loaded:
    """``model`` in evaluation mode, on its device and in its precision."""

    model: Any
    path: Path
    sha256: str
    architecture: str
    precision: str

    @property
    def max_positions(self) -> int:
        return int(min(self.model.max_positions(), sys.maxsize))  # infinite for convolutions

    def require_window(self, window: int, flag: str = "{window}") -> None:
        require_positions(flag, self.path, self.max_positions, window)


@dataclass(frozen=True)
class LoadedLM(Loaded):
    """P_LM for the whole run."""

    dictionary: Dictionary
    right_to_left: bool

    def require_left_to_right(self) -> None:
        require_left_to_right(self.path, self.right_to_left)


def load_base_lm(
    path: Path, data: Path, precision: str, device: torch.device, flag: str = "--path"
) -> LoadedLM:
    """Loads ``path``, passed as ``flag``, for use with the dictionary of ``data``: a checkpoint of
    fairseq's, or hf:FOLDER."""
    require_precision(precision, device)
    folder = hugging_face.folder_of(path)
    if folder is not None:
        found = hugging_face.find(folder, DTYPES[precision], flag)
        decoder = hugging_face.decoder_of(found, folder, data, flag)
        model = FairseqLanguageModel(decoder).eval().to(device)
        dictionary, names = model.decoder.dictionary, (found.sha256, found.architecture)
        return LoadedLM(model, path, *names, precision, dictionary, right_to_left=False)
    model, config = load_model(path, data, flag)
    if not isinstance(model, FairseqLanguageModel):
        raise UserError(f"{flag}: {path}: a {type(model).__name__} is not a language model")
    model.eval().to(device=device, dtype=DTYPES[precision])
    architecture = str(getattr(config.model, "_name", None) or type(model).__name__)
    dictionary = load_dictionary(data / DICTIONARY_NAME)
    sha256, right_to_left = sha256_of(path), reads_right_to_left(config)
    return LoadedLM(model, path, sha256, architecture, precision, dictionary, right_to_left)


def digest_of_model(path: Path) -> str:
    """SHA-256 of a checkpoint, or of the files of hf:FOLDER."""
    folder = hugging_face.folder_of(path)
    return sha256_of(path) if folder is None else hugging_face.digest_of_files(folder)


def require_precision(precision: str, device: torch.device) -> None:
    if precision == "fp16" and device.type == "cpu":
        raise UserError("--fp16: needs a GPU; on the CPU use --bf16 or neither")


def require_positions(flag: str, path: Path, positions: int, window: int) -> None:
    """Or windows are longer than a model reads."""
    if window > positions:
        raise OptionError(f"{flag}: windows of {window} tokens, but {path} reads {positions}")


def require_left_to_right(path: Path, right_to_left: bool) -> None:
    if right_to_left:
        raise UserError(f"--path: {path}: reads right to left, and cannot continue a text")


def load_model(path: Path, data: Path, flag: str) -> Tuple[Any, Any]:
    """A model of any fairseq task, built for the dictionary of ``data``, and its configuration.
    ``flag`` is that with which the user passed ``path``."""
    if not path.is_file():
        what = "a folder, not a file" if path.is_dir() else "no such file"
        raise UserError(f"{flag}: {path}: {what}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about how this fairseq loads checkpoints
        state = read_checkpoint(path, flag)
        _require_dictionary(state["cfg"], data, flag)
        return _build(state, path, data, flag)


def read_config(path: Path, data: Path, flag: str) -> Any:
    """The configuration of a checkpoint, which must have been trained with the dictionary of
    ``data`` if its own can still be found. Tensors stay on disk if possible."""
    try:
        config = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["cfg"]
        config = OmegaConf.create(config, flags={"allow_objects": True})
    except Exception:  # from an older fairseq, or no checkpoint at all
        config = read_checkpoint(path, flag)["cfg"]
    _require_dictionary(config, data, flag)
    return config


def reads_right_to_left(config: Any) -> bool:
    return bool(config.task._name == RIGHT_TO_LEFT)


def read_checkpoint(path: Path, flag: str) -> Dict[str, Any]:
    """The contents of a checkpoint, upgraded to what this version of fairseq expects."""
    require_complete(path, flag)
    register()  # its task or architecture may be one of ours
    try:
        state: Dict[str, Any] = checkpoint_utils.load_checkpoint_to_cpu(str(path))
        state["cfg"].task._name  # noqa: B018 (all of fairseq's have it)
    except Exception as error:  # unpickling may raise anything
        kind = type(error).__name__
        raise UserError(f"{flag}: {path}: not a fairseq checkpoint ({kind})") from None
    return state


def _require_dictionary(config: Any, data: Path, flag: str) -> None:
    trained_with = Path(str(config.task.data).split(":")[0]) / DICTIONARY_NAME
    if trained_with.exists():  # a checkpoint does not contain its dictionary
        beginning = f"{flag}: trained with {trained_with}"
        require_same_dictionary(data / DICTIONARY_NAME, trained_with, beginning)


def _build(state: Dict[str, Any], path: Path, data: Path, flag: str) -> Tuple[Any, Any]:
    """From ``state``, so that the file is read once: a large language model takes long."""
    dictionary = data / DICTIONARY_NAME
    checkpoint_utils.overwrite_args_by_name(state["cfg"], {"data": str(data)})
    if state.get("args") is not None:  # fairseq's older format, which it prefers to cfg
        state["args"].data = str(data)
    try:
        models, config, _ = checkpoint_utils.load_model_ensemble_and_task([str(path)], state=state)
    except RuntimeError as error:
        symbols, why = len(load_dictionary(dictionary)), str(error).splitlines()[-1].strip()
        problem = f"does not fit {dictionary}, which has {symbols} symbols ({why})"
        raise UserError(f"{flag}: {path} {problem}") from None
    return models[0], config
