"""Prompts with their pools, made by hand, as fairseq-generate writes them."""

import math


def record(number, real, base, joint, energies=(0.0, 0.0), **more):
    """Token lists; the pool holds ``base`` and ``joint``, each of log P -10."""
    draw = {"text": "j", "tokens": joint, "log_p": -10.0, "energy": energies[1], "share": 0.5}
    return {
        "kind": "pools",
        "format_version": 1,
        "id": number,
        "prompt": "p",
        "base_text": "b",
        "truncated": False,
        "draws": [draw],
        "pools": [
            {
                "tokens": [base, joint],
                "energies": [None if math.isinf(e) else e for e in energies],
                "log_p": [-10.0, -10.0],
            }
        ],
        "real": {"text": "r", "tokens": real, "log_p": -12.0, "energy": -1.0},
        **more,
    }
