"""The model of transformers inside an ``energy_hf``: taken from its folder, or built again from
what a checkpoint knows of it."""

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

import torch
from torch import nn

from ..data import hugging_face
from ..data.hugging_face import HuggingFaceTokenizer
from ..data.options import HUGGING_FACE
from ..data.tokenizers import load_tokenizer, vocabulary_hashes
from ..errors import UserError
from ..lm.hugging_face import attention_for, digest_of_files, require_whole
from ..options import fairseq_flag
from .energy import PooledEnergyConfig
from .hugging_face_reader import SymbolReader, Template, TextReader, limit_of, template_of

logger = logging.getLogger(__name__)

FLAG = "--hf-model"
RECIPE = "hugging_face"  # in fairseq's ``task_state``: how to build it without its folder


@dataclass
class HuggingFaceEnergyConfig(PooledEnergyConfig):
    hf_model: Optional[str] = fairseq_flag(
        None, "folder of a model of transformers, an encoder or a decoder, and its tokenizer"
    )
    hf_lora: int = fairseq_flag(
        0,
        "train adapters of this rank and the head alone (pip install 'fairseq-ebm[lora]'); 0: all "
        "weights",
    )
    hf_dropout: Optional[float] = fairseq_flag(
        None, "all of the model's dropouts (default: its own)"
    )


@dataclass(frozen=True)
class Recipe:
    """What, beside weights, is the model."""

    config: str
    tokenizer: str
    symbols: Dict[str, Any]
    template: Dict[str, Any]
    folder: str
    sha256: str  # of its files
    vocabulary: Dict[str, str]  # hashes of the files of the data's vocabulary

    def own_tokenizer(self) -> HuggingFaceTokenizer:
        return hugging_face.from_parts(self.tokenizer, self.symbols)


def folder_of(cfg: HuggingFaceEnergyConfig) -> Path:
    if not cfg.hf_model:
        raise UserError(f"{FLAG}: needed by --arch energy_hf; give the folder of a model")
    return Path(cfg.hf_model.removeprefix(HUGGING_FACE)).resolve()


def taken_in(cfg: HuggingFaceEnergyConfig, folder: Path, flag: str) -> Tuple[nn.Module, Recipe]:
    """From a model's folder. Its ``vocabulary`` is not known here."""
    require_whole(folder, flag)
    transformers = hugging_face.import_transformers(flag)
    safe: Dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **safe)
        config = transformers.AutoConfig.from_pretrained(str(folder), **safe)
        _set_dropout(config, cfg.hf_dropout)
        safe.update(config=config, **attention_for(config))
        body, report = transformers.AutoModel.from_pretrained(
            str(folder), output_loading_info=True, **safe
        )
    except Exception as error:  # whatever transformers raises
        problem = f"not a model with its tokenizer ({hugging_face.first_line(error)})"
        raise UserError(f"{flag}: {folder}: {problem}") from None
    if body.config.is_encoder_decoder:
        raise UserError(f"{flag}: {folder}: an encoder with a decoder; give either alone")
    missing = [name for name in report["missing_keys"] if "pooler" not in name]
    if missing:
        some = f"{len(missing)} weights are not in it, such as {missing[0]}"
        raise UserError(f"{flag}: {folder}: {some}")
    own = hugging_face.of_transformers(tokenizer, folder, flag)
    template = template_of(own, limit_of(body.config, tokenizer))
    recipe = Recipe(
        json.dumps(body.config.to_dict()),
        own.files()[hugging_face.TOKENIZER_NAME].decode(),
        asdict(own.symbols),
        asdict(template),
        str(folder),
        digest_of_files(folder),
        {},
    )
    return _adapted(body, cfg), recipe


def built(cfg: HuggingFaceEnergyConfig, recipe: Recipe) -> nn.Module:
    """With weights that are still to be loaded, but for those that adapters are added to."""
    if cfg.hf_lora:
        where = "--path: adapters need the folder that they were trained on"
        body, now = taken_in(cfg, Path(recipe.folder), where)
        if now.sha256 != recipe.sha256:
            raise UserError(f"{where}: the files in {recipe.folder} are others now")
        return body
    transformers = hugging_face.import_transformers("--path")
    config = transformers.AutoConfig.for_model(**json.loads(recipe.config))
    try:
        attention = attention_for(config)
    except ValueError as error:
        raise UserError(f"--path: an energy_hf is refused: {error}") from None
    body = transformers.AutoModel.from_config(config, trust_remote_code=False, **attention)
    return _adapted(body, cfg)


def _set_dropout(config: Any, share: Optional[float]) -> None:
    """All of a configuration's: models read some from there, and not from modules."""
    for name, value in list(vars(config).items()):
        is_dropout = "dropout" in name or name.endswith("pdrop")
        if share is not None and is_dropout and isinstance(value, (int, float)):
            setattr(config, name, share)


def _adapted(body: Any, cfg: HuggingFaceEnergyConfig) -> nn.Module:
    body.float()
    if getattr(body, "pooler", None) is not None:
        body.pooler = None  # of features, which the head pools itself
    if not cfg.hf_lora:
        return body
    try:
        import peft  # noqa: PLC0415 an extra
    except ImportError:
        problem = "peft is not installed; pip install 'fairseq-ebm[lora]'"
        raise UserError(f"--hf-lora: {problem}") from None
    transposed = any(type(module).__name__ == "Conv1D" for module in body.modules())  # GPT-2's
    lora = peft.LoraConfig(
        r=cfg.hf_lora,
        lora_alpha=2 * cfg.hf_lora,
        target_modules="all-linear",
        fan_in_fan_out=transposed,
    )
    adapted: nn.Module = peft.get_peft_model(body, lora)
    return adapted


def require_same_model(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """``before`` and ``now``: fairseq's ``task_state`` in a checkpoint that training goes on from,
    and of the training that does."""
    if before[RECIPE]["sha256"] != now[RECIPE]["sha256"]:
        others = f"{FLAG}: other files than those that it began with"
        raise UserError(f"going on from {path}: {others}")


def require_vocabulary(recipe: Recipe, data: Path) -> None:
    """What is read depends on it, by symbols or as text."""
    if recipe.vocabulary != vocabulary_hashes(data):
        problem = f"was trained with another vocabulary or tokenizer than that of {data}"
        raise UserError(f"--path: an energy_hf {problem}")


@torch.no_grad()
def is_causal(body: nn.Module) -> bool:
    """Whether what follows a symbol means nothing to its features."""
    inputs = torch.tensor([[1, 2, 3], [1, 2, 4]])
    was_training = body.training
    first, second = body.eval()(input_ids=inputs).last_hidden_state[:, 0]
    body.train(was_training)
    return torch.allclose(first, second, rtol=1e-4, atol=1e-6)


def reader_of(recipe: Recipe, data: Path, padding: int) -> Any:
    """By symbols, if ``data`` has the same tokenizer, else by text."""
    own, template = recipe.own_tokenizer(), Template(**recipe.template)
    template = replace(template, before=tuple(template.before), after=tuple(template.after))
    theirs = load_tokenizer(data)
    if isinstance(theirs, HuggingFaceTokenizer) and own.difference(theirs) is None:
        return SymbolReader(own, template, padding)
    logger.info(f"energy_hf reads {data} as text: the tokenizers differ")
    return TextReader(theirs, own, template, padding)
