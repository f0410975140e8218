"""A Hugging Face language model where fairseq's own programs load checkpoints: they are given one
that says no more than in which folder the model is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.models import FairseqLanguageModel, register_model

from ..lm import hugging_face
from ..lm.checkpoint import DTYPES
from ..options import fairseq_flag

NAME = "hugging_face_lm"
FLAG = "--path"


@dataclass
class HuggingFaceLMConfig(FairseqDataclass):
    folder: str = fairseq_flag("", "of the model and its tokenizer")
    precision: str = fairseq_flag("fp32", "fp32, fp16 or bf16")


@register_model(NAME, dataclass=HuggingFaceLMConfig)
class HuggingFaceLM(FairseqLanguageModel):
    @classmethod
    def build_model(cls, cfg: HuggingFaceLMConfig, task: Any) -> "HuggingFaceLM":
        folder = Path(cfg.folder)
        found = hugging_face.find(folder, DTYPES[cfg.precision], FLAG)
        return cls(hugging_face.decoder_of(found, folder, task.data, FLAG))

    def load_state_dict(self, state_dict: Mapping[str, Any], *_: Any, **__: Any) -> None:
        """Weights come from the folder."""


def write_stand_in(path: Path, folder: Path, precision: str) -> None:
    """A checkpoint for fairseq."""
    model = {"_name": NAME, "folder": str(folder.resolve()), "precision": precision}
    task = {"_name": "language_modeling", "data": ""}
    history = [{"optimizer_name": "", "lr_scheduler_state": {}, "num_updates": 0}]
    state = {
        "cfg": {"model": model, "task": task},
        "model": {},
        "optimizer_history": history,
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "task_state": {},
    }
    torch.save(state, path)
