"""Presets: shapes under the names of the papers' models."""

from argparse import Namespace
from typing import Any, Callable, Dict, Optional

from fairseq.models import register_model_architecture


def shape(part: str, layers: int, heads: int, width: int) -> Dict[str, Any]:
    """Of an "encoder" or "decoder"; ff is 4 d in all of the papers' models."""
    values = {"layers": layers, "attention_heads": heads, "embed_dim": width}
    values["ffn_embed_dim"] = 4 * width
    return {f"{part}_{name}": value for name, value in values.items()}


def preset(
    family: str,
    name: str,
    values: Dict[str, Any],
    then: Optional[Callable[[Namespace], None]] = None,
) -> None:
    """Registers ``name``: it sets what no flag has set, and does ``then``.

    fairseq also applies presets to a checkpoint's flags: what these say stays.
    """

    def fill(args: Namespace) -> None:
        for flag, value in values.items():
            setattr(args, flag, getattr(args, flag, value))
        if then is not None:
            then(args)

    register_model_architecture(family, name)(fill)
