"""``--init-from``: starts an energy from the features of a trained model."""

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Set, Tuple

from fairseq import utils
from fairseq.models import BaseFairseqModel
from fairseq.models.roberta import RobertaModel
from fairseq.models.transformer_lm import TransformerLanguageModel
from fairseq.modules import LearnedPositionalEmbedding
from torch import Tensor

from ..errors import UserError
from ..lm.checkpoint import load_model
from .energy import EnergyModel
from .energy_ratio import RatioEnergy
from .energy_roberta import BidirectionalEnergy
from .energy_transformer_lm import CausalEnergy

logger = logging.getLogger(__name__)

FRESH = "head."  # what only an energy has
COPY = r"layers\.\d+\.\w+"
OUTPUT = ("output_projection.", "adaptive_softmax.")  # what only a language model has
TAKES = {
    CausalEnergy: "takes a transformer_lm",
    BidirectionalEnergy: "takes a RoBERTa, a masked LM of that shape, or a transformer_lm",
}


class Transferred(NamedTuple):
    loaded: List[str]
    fresh: List[str]
    left_out: List[str]


def initialise(model: EnergyModel, path: Path, data: Path) -> Transferred:
    """Strictly loads all that the energy shares with the model at ``path``; logs and returns what.

    A causal energy starts from a ``transformer_lm``; a bidirectional one from a RoBERTa, a masked
    LM, or a ``transformer_lm`` without its causal mask.
    """
    model = getattr(model, "both", None) or model  # of an energy_ratio, what is added to the ratio
    source, _ = load_model(path, data, "--init-from")
    theirs, inner = _features_of(source, model, path)
    ours = model.decoder if isinstance(model, CausalEnergy) else model.encoder
    _require_same_shape(theirs, ours, isinstance(model, CausalEnergy), path)

    state, wanted = _weights(theirs), _weights(ours)
    embedding, symbols = "embed_tokens.weight", len(ours.embed_tokens.weight)
    if len(state.get(embedding, ())) == symbols + 1:
        # Masked LMs have one more symbol, <mask>, at the end; no window contains it.
        state[embedding] = state[embedding][:symbols]
    differing = {name for name, _ in _shapes(state) ^ _shapes(wanted)}
    if differing:
        fit = f"does not fit the energy: {', '.join(sorted(differing)[:5])}"
        raise UserError(f"--init-from: {path} {fit}; use another checkpoint")
    ours.load_state_dict({**ours.state_dict(), **{n: state[n] for n in wanted}}, strict=True)
    fresh = sorted(name for name in model.state_dict() if name.startswith(FRESH))
    left_out = sorted(set(source.state_dict()) - {inner + name for name in wanted})
    transferred = Transferred(sorted(wanted), fresh, left_out)
    logger.info(_summary(transferred, path))
    return transferred


def _features_of(source: BaseFairseqModel, model: EnergyModel, path: Path) -> Tuple[Any, str]:
    """The module of ``source`` that computes features, and its name in the model."""
    if type(model) in TAKES:
        if isinstance(source, TransformerLanguageModel):
            return source.decoder, "decoder."
        if isinstance(source, RobertaModel) and isinstance(model, BidirectionalEnergy):
            return source.encoder.sentence_encoder, "encoder.sentence_encoder."
    remedy = TAKES.get(type(model), "starts fresh: leave out --init-from")
    if isinstance(model, RatioEnergy):
        remedy = "has no bidirectional part to start so: add --encoder-layers"
    raise UserError(
        f"--init-from: {path} is a {type(source).__name__}, but a {type(model).__name__} {remedy}"
    )


def _weights(features: Any) -> Dict[str, Tensor]:
    """fairseq 0.12.2 keeps copies of an encoder layer's in the layer itself, for inference."""
    return {n: v for n, v in features.state_dict().items() if not re.fullmatch(COPY, n)}


def _shapes(state: Dict[str, Tensor]) -> Set[Tuple[str, Any]]:
    return {(n, v.shape) for n, v in state.items() if not n.startswith(OUTPUT)}


def _shape(features: Any, causal: bool) -> Dict[str, Any]:
    """By the flags that give an energy this shape; None if none is needed."""
    part, layer = "decoder" if causal else "encoder", features.layers[0]
    positions, norm = features.embed_positions, features.layernorm_embedding
    learned = isinstance(positions, LearnedPositionalEmbedding)
    # gelu_fast is an old name of another one, and linear is a new function at each call.
    distinct = set(utils.get_available_activation_fns()) - {"gelu_fast", "linear"}
    names = {utils.get_activation_fn(name): name for name in distinct}
    longest = "--max-target-positions" if causal else "--max-positions"
    shape = {
        f"--{part}-layers": len(features.layers),
        f"--{part}-embed-dim": layer.self_attn.embed_dim,
        f"--{part}-ffn-embed-dim": layer.fc1.out_features,
        f"--{part}-attention-heads": layer.self_attn.num_heads,
        "--activation-fn": names.get(layer.activation_fn, "linear"),
        longest: positions.max_positions if learned else None,
        "--no-token-positional-embeddings": positions is None,
        f"--{part}-normalize-before": layer.normalize_before,
    }
    if causal:
        shape["--decoder-learned-pos"] = learned
        shape["--layernorm-embedding"] = norm is not None
        shape["--no-scale-embedding"] = features.embed_scale == 1.0
        no_final_norm = layer.normalize_before and features.layer_norm is None
        shape["--no-decoder-final-norm"] = no_final_norm
    else:
        shape["--sinusoidal-positions"] = positions is not None and not learned
        shape["--no-layernorm-embedding"] = norm is None
        shape["--scale-embedding"] = features.embed_scale != 1.0
    return shape


def _require_same_shape(theirs: Any, ours: Any, causal: bool, path: Path) -> None:
    our_shape, add, drop = _shape(ours, causal), [], []
    for flag, wanted in _shape(theirs, causal).items():
        if wanted is None or wanted == our_shape[flag]:
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
