"""``--init-from``: starts an energy from the features of a trained model."""

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

from fairseq import utils
from fairseq.models import BaseFairseqModel
from fairseq.models.roberta import RobertaModel
from fairseq.models.transformer_lm import TransformerLanguageModel
from fairseq.modules import LearnedPositionalEmbedding
from torch import Tensor

from ..errors import UserError
from ..lm.checkpoint import load_model
from .energy import EnergyModel
from .energy_roberta import BidirectionalEnergy
from .energy_transformer_lm import CausalEnergy

logger = logging.getLogger(__name__)

FRESH = "head."  # what only an energy has
COPY = r"layers\.\d+\.\w+"
OUTPUT = ("output_projection.", "adaptive_softmax.")  # what only a language model has


class Transferred(NamedTuple):
    loaded: List[str]
    fresh: List[str]
    left_out: List[str]


def initialise(model: EnergyModel, path: Path, data: Path) -> Transferred:
    """Strictly loads all that the energy shares with the model at ``path``; logs and returns what.

    A causal energy starts from a ``transformer_lm``; a bidirectional one from a RoBERTa, a masked
    LM, or a ``transformer_lm`` without its causal mask.
    """
    source, _ = load_model(path, data, "--init-from")
    theirs, inner = _features_of(source, model, path)
    ours = model.decoder if isinstance(model, CausalEnergy) else model.encoder
    _require_same_shape(theirs, ours, isinstance(model, CausalEnergy), path)

    state = _fit_vocabulary(theirs.state_dict(), len(ours.embed_tokens.weight))
    # fairseq 0.12.2 keeps copies of an encoder layer's weights in the layer itself, for inference.
    wanted = {n: v for n, v in ours.state_dict().items() if not re.fullmatch(COPY, n)}
    state = {n: v for n, v in state.items() if not re.fullmatch(COPY, n)}
    unmatched = [
        name
        for name in {**state, **wanted}
        if not name.startswith(OUTPUT)
        and (name not in state or name not in wanted or state[name].shape != wanted[name].shape)
    ]
    if unmatched:
        raise UserError(
            f"--init-from: {path} does not fit the energy: {', '.join(sorted(unmatched)[:5])}; "
            "use another checkpoint"
        )
    ours.load_state_dict({**ours.state_dict(), **{n: state[n] for n in wanted}}, strict=True)
    transferred = Transferred(
        loaded=sorted(wanted),
        fresh=sorted(name for name in model.state_dict() if name.startswith(FRESH)),
        left_out=sorted(
            name
            for name in source.state_dict()
            if not (name.startswith(inner) and name[len(inner) :] in wanted)
        ),
    )
    logger.info(_summary(transferred, path))
    return transferred


def _features_of(source: BaseFairseqModel, model: EnergyModel, path: Path) -> Tuple[Any, str]:
    """The module of ``source`` that computes features, and its name in the model."""
    if isinstance(model, (CausalEnergy, BidirectionalEnergy)):
        if isinstance(source, TransformerLanguageModel):
            return source.decoder, "decoder."
        if isinstance(source, RobertaModel) and isinstance(model, BidirectionalEnergy):
            return source.encoder.sentence_encoder, "encoder.sentence_encoder."
    if isinstance(model, CausalEnergy):
        remedy = "takes a transformer_lm"
    elif isinstance(model, BidirectionalEnergy):
        remedy = "takes a RoBERTa, a masked LM of that shape, or a transformer_lm"
    else:
        remedy = "starts fresh: leave out --init-from"
    raise UserError(
        f"--init-from: {path} is a {type(source).__name__}, but a {type(model).__name__} {remedy}"
    )


def _fit_vocabulary(state: Dict[str, Tensor], symbols: int) -> Dict[str, Tensor]:
    """Masked LMs have one more symbol, <mask>, at the end; no window contains it."""
    name = "embed_tokens.weight"
    if name in state and len(state[name]) == symbols + 1:
        return {**state, name: state[name][:symbols]}
    return state


# The flags that give an energy the shape of another model: {property: flag}, causal or not.
CAUSAL = {
    "layers": "--decoder-layers",
    "width": "--decoder-embed-dim",
    "ffn": "--decoder-ffn-embed-dim",
    "heads": "--decoder-attention-heads",
    "activation": "--activation-fn",
    "max_positions": "--max-target-positions",
    "learned": "--decoder-learned-pos",
    "no_positions": "--no-token-positional-embeddings",
    "normalised": "--layernorm-embedding",
    "unscaled": "--no-scale-embedding",
    "normalize_before": "--decoder-normalize-before",
    "no_final_norm": "--no-decoder-final-norm",
}
BIDIRECTIONAL = {
    "layers": "--encoder-layers",
    "width": "--encoder-embed-dim",
    "ffn": "--encoder-ffn-embed-dim",
    "heads": "--encoder-attention-heads",
    "activation": "--activation-fn",
    "max_positions": "--max-positions",
    "normalize_before": "--encoder-normalize-before",
    "sinusoidal": "--sinusoidal-positions",
    "no_positions": "--no-token-positional-embeddings",
    "unnormalised": "--no-layernorm-embedding",
    "scaled": "--scale-embedding",
}


def _shape(features: Any) -> Dict[str, Any]:
    layer = features.layers[0]
    positions = features.embed_positions
    learned = isinstance(positions, LearnedPositionalEmbedding)
    # gelu_fast is an old name of another one, and linear is a new function at each call.
    distinct = set(utils.get_available_activation_fns()) - {"gelu_fast", "linear"}
    names = {utils.get_activation_fn(name): name for name in distinct}
    return {
        "layers": len(features.layers),
        "width": layer.self_attn.embed_dim,
        "ffn": layer.fc1.out_features,
        "heads": layer.self_attn.num_heads,
        "activation": names.get(layer.activation_fn, "linear"),
        "max_positions": positions.max_positions if learned else None,
        "learned": learned,
        "sinusoidal": positions is not None and not learned,
        "no_positions": positions is None,
        "normalize_before": layer.normalize_before,
        "no_final_norm": layer.normalize_before and features.layer_norm is None,
        "normalised": features.layernorm_embedding is not None,
        "unnormalised": features.layernorm_embedding is None,
        "scaled": features.embed_scale != 1.0,
        "unscaled": features.embed_scale == 1.0,
    }


def _require_same_shape(theirs: Any, ours: Any, causal: bool, path: Path) -> None:
    their_shape, our_shape = _shape(theirs), _shape(ours)
    add, drop = [], []
    for name, flag in (CAUSAL if causal else BIDIRECTIONAL).items():
        wanted = their_shape[name]
        if wanted == our_shape[name] or wanted is None:
            continue
        if wanted is False:
            drop.append(flag)
        else:
            add.append(flag if wanted is True else f"{flag} {wanted}")
    if add or drop:
        remedy = [f"add {' '.join(add)}"] if add else []
        remedy += [f"leave out {' '.join(drop)}"] if drop else []
        raise UserError(f"--init-from: {path} has another shape; {' and '.join(remedy)}")


def _summary(transferred: Transferred, path: Path) -> str:
    groups = Counter(name.split(".")[0] for name in transferred.loaded)
    loaded = ", ".join(f"{name} ({count})" for name, count in groups.items())
    left_out = ", ".join(transferred.left_out) or "nothing"
    return (
        f"initialised from {path}: {len(transferred.loaded)} tensors loaded: {loaded}; "
        f"fresh: {', '.join(transferred.fresh)}; left out: {left_out}"
    )
