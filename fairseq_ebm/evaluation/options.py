"""What ``fairseq-ebm eval-lm`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..errors import OptionError
from ..options import (
    OUTPUT,
    Drawing,
    Sampling,
    Shards,
    argument,
    option,
    seed_option,
    share,
    whole,
    wholes,
)

LEAST_ERROR = 1e-6  # that anyone could pay for
NUM_SAMPLES, MAX_SAMPLES = 1000, 100_000
WINDOWS, ESTIMATES = "windows", "estimates"


@dataclass(frozen=True)
class EvalLM(Drawing, Sampling, Shards):
    """Perplexity of the continuations of windows of a split: of a language model, and lower
    and upper bounds of that of the joint model P_LM(x) exp(-E(x)) / Z.

      fairseq-ebm eval-lm DATA --path lm.pt:energy.pt --results-path OUT.json
      fairseq-ebm eval-lm DATA --path lm.pt
      fairseq-ebm eval-lm --merge OUT.json         # after shards

    Ctrl-C prints and writes what is done; --resume continues.
    """

    data: Optional[Path] = argument(None, "prepared directory", metavar="DATA")
    path: Optional[str] = option(
        None, "checkpoints, in any order, joined by a colon", metavar="LM.pt[:ENERGY.pt]"
    )
    merge: Optional[Path] = option(None, "join the shards of a report", metavar="OUT.json")
    gen_subset: str = option("test", "split", group=WINDOWS)
    window: int = option(160, "tokens of a window", whole(1), group=WINDOWS)
    stride: int = option(160, "tokens from one window to the next", whole(1), group=WINDOWS)
    prefix_length: int = option(120, "tokens of context", whole(), group=WINDOWS)
    max_windows: Optional[int] = option(
        None, "evaluate at most so many windows, chosen at random", whole(1), group=WINDOWS
    )
    num_samples: Optional[int] = option(
        None, f"samples for each window (default: {NUM_SAMPLES})", whole(2), group=ESTIMATES
    )
    sampling_error: Optional[float] = option(
        None,
        "instead of --num-samples: as many samples as each window needs until the joint "
        "perplexity's own standard error of sampling is at most E of it, as 0.1% or 0.001",
        share(LEAST_ERROR),
        metavar="E",
        group=ESTIMATES,
    )
    max_samples: Optional[int] = option(
        None,
        f"with --sampling-error: at most so many samples for one window (default: {MAX_SAMPLES:,})",
        whole(2),
        group=ESTIMATES,
    )
    sample_curve: Tuple[int, ...] = option(
        (),
        "also give the bounds from the first N samples of each pool",
        wholes(1),
        metavar="N,N,…",
        group=ESTIMATES,
    )
    per_position: bool = option(
        False, "bounds at every position, from a pool for each", group=ESTIMATES
    )
    exact_last_position: bool = option(
        False, "the last position over the whole vocabulary, without samples", group=ESTIMATES
    )
    seed: int = seed_option()
    baseline: Tuple[Path, ...] = option(
        (),
        "reports on the same windows, of other models, to compare with window by window",
        metavar="OUT.json",
        group=OUTPUT,
        many=True,
    )
    resume: bool = option(False, "continue what OUT.windows.jsonl holds", group=OUTPUT)

    @property
    def out(self) -> Optional[Path]:
        return self.merge or self.results_path

    def check(self) -> None:
        if self.merge is not None:
            return
        for name in ("data", "path"):
            if getattr(self, name) is None:
                raise OptionError(f"{{{name}}}: needed")
        if (self.shard[1] > 1 or self.resume or self.draw) and self.results_path is None:
            raise OptionError("{results_path}: needed with shards, {resume} and {draw}")
        super().check()
        if self.max_samples and not self.sampling_error:
            raise OptionError("{max_samples}: goes with {sampling_error} alone; drop it")
        if self.num_samples and self.sampling_error:
            raise OptionError("{num_samples}: {sampling_error} decides how many; drop one of them")
        if self.draw and not (self.sample_curve or self.per_position):
            raise OptionError("{draw}: nothing to draw without {sample_curve} or {per_position}")
