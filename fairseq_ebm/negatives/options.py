"""What ``fairseq-ebm negatives`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..errors import OptionError
from ..options import Quiet, Sampling, Shards, argument, number, option, seed_option, whole, wholes

TEXTS, WINDOWS, SAMPLING = "text from elsewhere", "windows", "sampling"


@dataclass(frozen=True)
class Negatives(Quiet, Sampling, Shards):
    """Cuts prepared text into windows, lets a base language model continue the beginning of
    each, and writes both to NEG, the store that energies are trained on.

      fairseq-ebm negatives DATA --path lm.pt --dest NEG
      torchrun --nproc_per_node 8 -m fairseq_ebm negatives DATA --path lm.pt --dest NEG
      fairseq-ebm negatives --merge NEG          # after shards
      fairseq-ebm negatives DATA --hf MODEL_DIR --dest NEG   # a Hugging Face model writes them
      fairseq-ebm negatives --from-jsonl REAL.jsonl FAKE.jsonl --like DATA --dest NEG

    May be killed and started again at any time; it resumes where it was.
    """

    data: Optional[Path] = argument(None, "prepared directory", metavar="DATA")
    path: Optional[Path] = option(None, "checkpoint of the base language model", metavar="LM.pt")
    hf: Optional[Path] = option(
        None,
        "instead of --path: directory of a Hugging Face causal language model and its tokenizer; "
        "such negatives train energies that tell text apart, but give no perplexity",
        metavar="MODEL_DIR",
    )
    dest: Optional[Path] = option(None, "the store to write", metavar="NEG")
    merge: Optional[Path] = option(None, "join the shards of a store", metavar="NEG")
    from_jsonl: Tuple[Path, ...] = option(
        (),
        'real texts, then generated ones: files of lines {"text": …}',
        metavar="FILE",
        group=TEXTS,
        many=True,
    )
    like: Optional[Path] = option(
        None, "prepared text whose vocabulary is used", metavar="DATA", group=TEXTS
    )
    skip_bad_lines: bool = option(
        False, "pass over broken lines and say how many there were", group=TEXTS
    )
    subsets: str = option(
        "train,valid,test", "subsets to fill", metavar="NAME,NAME,…", group=WINDOWS
    )
    window: int = option(160, "tokens of a window", whole(1), group=WINDOWS)
    stride: int = option(40, "tokens from one window to the next", whole(1), group=WINDOWS)
    prefix_length: Tuple[int, ...] = option(
        (120,),
        "tokens of context, of equal probability where several",
        wholes(),
        metavar="P[,P2]",
        group=WINDOWS,
    )
    max_windows: Optional[int] = option(
        None, "take at most so many windows of a subset, at random", whole(1), group=WINDOWS
    )
    num_negatives: int = option(16, "continuations of each window", whole(1), group=SAMPLING)
    right_to_left: bool = option(False, "the model reads backwards", group=SAMPLING)
    sampling_topk: Optional[int] = option(
        None, "draw from the K likeliest symbols", whole(1), metavar="K", group=SAMPLING
    )
    sampling_topp: Optional[float] = option(
        None, "draw from the likeliest symbols that hold P", number, metavar="P", group=SAMPLING
    )
    temperature: float = option(
        1.0, "divide logits by T before drawing", number, metavar="T", group=SAMPLING
    )
    seed: int = seed_option()

    def check(self) -> None:
        super().check()
        if self.merge is not None:
            return
        if self.from_jsonl:
            if len(self.from_jsonl) != 2:
                raise OptionError("{from_jsonl}: give two files, real texts and generated ones")
            self._need("like", "dest", why="with {from_jsonl}")
            return
        self._need("data", why="to generate negatives")
        if not self.hf:
            self._need("path", why="to generate negatives, or {hf}")
        elif self.path:
            raise OptionError("{hf}: {path} is given too, and one model writes; drop one")
        elif self.right_to_left:
            raise OptionError("{right_to_left}: Hugging Face models read left to right; drop it")
        self._need("dest", why="to generate negatives")
        if self.skip_bad_lines:
            raise OptionError("{skip_bad_lines}: goes with {from_jsonl} alone; drop it")

    def _need(self, *names: str, why: str) -> None:
        for name in names:
            if getattr(self, name) is None:
                raise OptionError(f"{{{name}}}: needed {why}")
