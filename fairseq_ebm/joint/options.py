"""What ``fairseq-ebm next-token`` and ``fairseq-ebm analyse`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..options import (
    REQUIRED,
    Drawing,
    Reporting,
    Sampling,
    argument,
    option,
    seed_option,
    whole,
)


@dataclass(frozen=True)
class NextToken(Reporting, Sampling):
    """Probabilities of the next token after a text: of the language model, and of the joint
    model P_LM(x) exp(-E(x)) / Z, which looks ahead by completing the text many times after
    each of the likeliest candidates.

      fairseq-ebm next-token DATA --path lm.pt:energy.pt --prefix "The function returns"
    """

    data: Path = argument(REQUIRED, "prepared directory, for its vocabulary", metavar="DATA")
    path: str = option(REQUIRED, "checkpoints, in any order", metavar="LM.pt:ENERGY.pt")
    prefix: str = option(REQUIRED, "the text that is continued", metavar="TEXT")
    top: int = option(10, "candidates to show", whole(1))
    candidates: int = option(128, "symbols that the language model finds likeliest", whole(2))
    num_samples: int = option(1000, "completions of each candidate", whole(2))
    window: Optional[int] = option(
        None,
        "tokens up to which a text is completed (default: what the energy was trained on)",
        whole(1),
    )
    seed: int = seed_option()


@dataclass(frozen=True)
class Analyse(Drawing):
    """Real text, the language model's and the joint model's beside each other: how many of
    their n-grams are distinct, and how much likelier each model finds its own text (not of
    truncated proposals, such as those of top-k, which say nothing of Z).

      fairseq-generate DATA --user-dir fairseq_ebm --task residual_ebm_lm … \\
          --joint-results-path POOLS.jsonl
      fairseq-ebm analyse POOLS.jsonl --results-path OUT.json --draw
    """

    pools: Tuple[Path, ...] = argument(
        REQUIRED, "prompts with their pools; shards together", metavar="POOLS.jsonl", many=True
    )
