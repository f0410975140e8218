"""What ``fairseq-ebm eval-lm`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..errors import OptionError
from ..options import Drawing, Sampling, Seeded, Shards, file, flag, share, text, whole, wholes

LEAST_ERROR = 1e-6  # that anyone could pay for
NUM_SAMPLES, MAX_SAMPLES = 1000, 100_000
FITTED_ON = "valid"


@dataclass(frozen=True)
class EvalLM(Drawing, Sampling, Shards, Seeded):
    """Perplexity of the continuations of windows of a split: of a language model, and lower
    and upper bounds of that of the joint model P_LM(x) exp(-E(x)) / Z.

      fairseq-ebm eval-lm DATA --path lm.pt:energy.pt --results-path OUT.json
      fairseq-ebm eval-lm DATA --path lm.pt
      fairseq-ebm eval-lm --merge OUT.json         # after shards

    Ctrl-C prints and writes what is done; --resume continues.
    """

    makes = "a language model, an energy -> perplexity and its bounds"
    work = "evaluation.eval_lm:eval_lm"

    data: Optional[Path] = file(None, "prepared directory", "DATA", argument=True)
    path: Optional[str] = text(
        None,
        "checkpoints, in any order; a language model may be hf:MODEL_DIR, of Hugging Face; several "
        "are one formula: LM.pt:ENERGY.pt*0.5:EXPERT.pt*0.4:AMATEUR.pt*-0.3",
        "LM.pt[:ENERGY.pt]",
    )
    fit_weights: bool = flag("first fit the weights of --path on the split valid")
    merge: Optional[Path] = file(None, "join the shards of a report", "OUT.json")
    gen_subset: str = text("test", "split to evaluate", group="windows")
    window: int = whole(160, "tokens of a window", 1)
    stride: int = whole(160, "tokens from one window to the next", 1)
    prefix_length: int = whole(120, "tokens of context")
    max_windows: Optional[int] = whole(None, "evaluate at most so many windows, at random", 1)
    num_samples: Optional[int] = whole(
        None, f"samples for each window (default: {NUM_SAMPLES})", 2, group="estimates"
    )
    sampling_error: Optional[float] = share(
        None,
        "instead of --num-samples: as many samples as each window needs until the joint "
        "perplexity's own standard error of sampling is at most E of it, as 0.1% or 0.001",
        LEAST_ERROR, "E",
    )  # fmt: skip
    max_samples: Optional[int] = whole(
        None, f"at most so many for one window, then (default: {MAX_SAMPLES:,})", 2
    )
    sample_curve: Tuple[int, ...] = wholes((), "also bounds from the first N samples of each", 1)
    per_position: bool = flag("bounds at every position, from a pool for each")
    exact_last_position: bool = flag("the last position over the whole vocabulary, no samples")
    baseline: Tuple[Path, ...] = file(
        (), "reports of other models on the same windows, to compare with window by window",
        "OUT.json", group="output", many=True,
    )  # fmt: skip
    resume: bool = flag("continue what OUT.windows.jsonl holds")

    @property
    def out(self) -> Optional[Path]:
        return self.merge or self.results_path

    def check(self) -> None:
        if self.merge is not None:
            return
        self.need("data", "path")
        if (self.shard[1] > 1 or self.resume or self.draw) and self.results_path is None:
            raise OptionError("{results_path}: needed with shards, {resume} and {draw}")
        super().check()
        if self.fit_weights and self.gen_subset == FITTED_ON:
            raise OptionError("{fit_weights}: on {gen_subset} itself; evaluate another split")
        if self.max_samples and not self.sampling_error:
            raise OptionError("{max_samples}: goes with {sampling_error} alone; drop it")
        if self.num_samples and self.sampling_error:
            raise OptionError("{num_samples}: {sampling_error} decides how many; drop one of them")
        if self.draw and not (self.sample_curve or self.per_position):
            raise OptionError("{draw}: nothing to draw without {sample_curve} or {per_position}")
