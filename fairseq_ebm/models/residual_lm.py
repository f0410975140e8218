"""``residual_lm`` (RALM): a locally normalised residual of a frozen language model.

Equation 6 of Residual EBMs for Text Generation, trained with fairseq's own ``cross_entropy``:

    log P(v|x) = log P_LM(v|x) + log P_phi(v|x) - log Σ_u P_LM(u|x) P_phi(u|x)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Tuple

from fairseq import models, utils
from fairseq.models import FairseqDecoder, FairseqLanguageModel, register_model, transformer_lm
from fairseq.models.transformer import TransformerDecoderBase
from torch import nn

from ..errors import UserError
from ..lm.checkpoint import RIGHT_TO_LEFT, load_model, read_config, reads_right_to_left
from ..lm.product import ProductDecoder
from ..options import fairseq_flag
from .enclosed import BASE, from_plain, plain
from .presets import preset, shape


@dataclass
class ResidualLMConfig(transformer_lm.TransformerLanguageModelConfig):
    """The flags of ``transformer_lm``, for the residual."""

    base_lm: Optional[str] = fairseq_flag(
        None, "checkpoint of the base: copied into this model's checkpoints, and never trained"
    )


@register_model("residual_lm", dataclass=ResidualLMConfig)
class ResidualLM(FairseqLanguageModel):
    """Starts as its base: the residual's output is zero, so P_phi is uniform."""

    @classmethod
    def build_model(cls, cfg: ResidualLMConfig, task: Any) -> "ResidualLM":
        state = task.state.state_dict
        if BASE in state:  # from a checkpoint, which has the weights
            base = models.build_model(from_plain(state[BASE]), task, from_checkpoint=True).decoder
        else:
            base, config = load_base(cfg, task)
            task.state.merge_state_dict({BASE: plain(config.model)})
        return cls(ProductDecoder(base, build_residual(cfg, task)))


def load_base(cfg: ResidualLMConfig, task: Any) -> Tuple[FairseqDecoder, Any]:
    """The decoder that ``--base-lm`` names, and its configuration."""
    if not cfg.base_lm:
        raise UserError("--base-lm: needed; give the checkpoint of the base language model")
    path, data = Path(cfg.base_lm), Path(utils.split_paths(task.args.data)[0])
    if not path.is_file():
        raise UserError(f"--base-lm: {path}: no such file")
    config = read_config(path, data, "--base-lm")
    _require_language_model(path, config)
    reversed_text = task.args._name == RIGHT_TO_LEFT
    if reads_right_to_left(config) != reversed_text:
        ways = ("left to right", "right to left")
        raise UserError(
            f"--base-lm: {path} was trained {ways[not reversed_text]}, but --task "
            f"{task.args._name} reads {ways[reversed_text]}"
        )
    model, _ = load_model(path, data, "--base-lm")
    if model.max_positions() < cfg.tokens_per_sample:
        raise UserError(
            f"--tokens-per-sample: {cfg.tokens_per_sample} are more than the "
            f"{model.max_positions()} positions of --base-lm {path}"
        )
    return model.decoder, config


def _require_language_model(path: Path, config: Any) -> None:
    architecture = str(config.model._name)
    family = models.ARCH_MODEL_REGISTRY.get(architecture, object)
    if not issubclass(family, FairseqLanguageModel):
        raise UserError(f"--base-lm: {path}: {architecture} is not a language model")
    if issubclass(family, ResidualLM):
        has_base = f"{architecture} has a base of its own"
        raise UserError(f"--base-lm: {path}: {has_base}; pass that one, or train a transformer_lm")


def build_residual(cfg: ResidualLMConfig, task: Any) -> TransformerDecoderBase:
    """A decoder as ``transformer_lm`` builds it, with all its logits 0."""
    for name in ("share_decoder_input_output_embed", "adaptive_softmax_cutoff"):
        if getattr(cfg, name):
            raise UserError(
                f"--{name.replace('_', '-')}: leave it out; a residual_lm has an output matrix of "
                "its own, which starts at 0"
            )
    decoder = transformer_lm.TransformerLanguageModel.build_model(cfg, task).decoder
    nn.init.zeros_(decoder.output_projection.weight)
    return decoder


# RALM of the paper: the residual has the shape of the base LM.
BASE_SHAPE = shape("decoder", 12, 16, 1024)
preset("residual_lm", "residual_lm_base", BASE_SHAPE, transformer_lm.base_lm_architecture)
