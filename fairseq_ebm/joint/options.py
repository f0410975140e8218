"""What ``fairseq-ebm next-token`` and ``fairseq-ebm analyse`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..options import REQUIRED, Drawing, Reporting, Sampling, Seeded, file, text, whole


@dataclass(frozen=True)
class NextToken(Reporting, Sampling, Seeded):
    """Probabilities of the next token after a text: of the language model, and of the joint
    model P_LM(x) exp(-E(x)) / Z, which looks ahead by completing the text many times after
    each of the likeliest candidates.

      fairseq-ebm next-token DATA --path lm.pt:energy.pt --prefix "The function returns"
    """

    makes = "a text -> what comes next, looking ahead"
    work = "joint.next_token:next_token"

    data: Path = file(REQUIRED, "prepared directory, for its vocabulary", "DATA", argument=True)
    path: str = text(
        REQUIRED,
        "checkpoints, in any order, as for eval-lm",
        "LM.pt:ENERGY.pt",
    )
    prefix: str = text(REQUIRED, "the text that is continued", "TEXT")
    top: int = whole(10, "candidates to show", 1)
    candidates: int = whole(128, "symbols that the language model finds likeliest", 2)
    num_samples: int = whole(1000, "completions of each candidate", 2)
    window: Optional[int] = whole(
        None, "tokens of a completed text (default: what the energy was trained on)", 1
    )


@dataclass(frozen=True)
class Analyse(Drawing):
    """Real text, the language model's and the joint model's beside each other: how many of
    their n-grams are distinct, and how much likelier each model finds its own text (not of
    truncated proposals, such as those of top-k, which say nothing of Z).

      fairseq-generate DATA --user-dir fairseq_ebm --task residual_ebm_lm … \\
          --joint-results-path POOLS.jsonl
      fairseq-ebm analyse POOLS.jsonl --results-path OUT.json --draw
    """

    makes = "generated text -> repetition and densities"
    work = "joint.analyse:analyse"

    pools: Tuple[Path, ...] = file(
        REQUIRED, "prompts and pools; shards together", "POOLS.jsonl", argument=True, many=True
    )
