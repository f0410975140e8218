"""What ``fairseq-ebm negatives`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..errors import OptionError
from ..options import Quiet, Sampling, Seeded, Shards, file, flag, number, text, whole, wholes


@dataclass(frozen=True)
class Negatives(Quiet, Sampling, Shards, Seeded):
    """Cuts prepared text into windows, lets a base language model continue the beginning of
    each, and writes both to NEG, the store that energies are trained on.

      fairseq-ebm negatives DATA --path lm.pt --dest NEG
      torchrun --nproc_per_node 8 -m fairseq_ebm negatives DATA --path lm.pt --dest NEG
      fairseq-ebm negatives --merge NEG          # after shards
      fairseq-ebm negatives DATA --hf MODEL_DIR --dest NEG   # a Hugging Face model writes them
      fairseq-ebm negatives --from-jsonl REAL.jsonl FAKE.jsonl --like DATA --dest NEG

    May be killed and started again at any time; it resumes where it was.
    """

    makes = "tokens, a language model -> its continuations beside the real ones"
    work = "negatives.generate:negatives"

    data: Optional[Path] = file(None, "prepared directory", "DATA", argument=True)
    path: Optional[Path] = file(
        None,
        "checkpoint of the base language model, or hf:MODEL_DIR of one of Hugging Face",
        "LM.pt",
    )
    hf: Optional[Path] = file(
        None,
        "instead of --path: directory of a Hugging Face language model with another tokenizer than "
        "DATA's, which reads and writes it as text; such negatives train energies that tell text "
        "apart, but give no perplexity",
        "MODEL_DIR",
    )
    dest: Optional[Path] = file(None, "the store to write", "NEG")
    merge: Optional[Path] = file(None, "join the shards of a store", "NEG")
    from_jsonl: Tuple[Path, ...] = file(
        (), 'real texts, then generated ones: files of lines {"text": …}', "FILE", many=True,
        group="text from elsewhere",
    )  # fmt: skip
    like: Optional[Path] = file(None, "prepared text whose vocabulary is used", "DATA")
    skip_bad_lines: bool = flag("pass over broken lines and say how many there were")
    subsets: str = text("train,valid,test", "subsets to fill", "NAME,NAME,…", group="windows")
    window: int = whole(160, "tokens of a window", 1)
    stride: int = whole(40, "tokens from one window to the next", 1)
    prefix_length: Tuple[int, ...] = wholes(
        (120,), "tokens of context, of equal probability where several", 0, "P[,P2]"
    )
    max_windows: Optional[int] = whole(None, "take at most so many windows, at random", 1)
    num_negatives: int = whole(16, "continuations of each window", 1, group="sampling")
    right_to_left: bool = flag("the model reads backwards")
    sampling_topk: Optional[int] = whole(None, "draw from the N likeliest symbols", 1)
    sampling_topp: Optional[float] = number(None, "draw from the likeliest that hold P", "P")
    min_p: Optional[float] = number(
        None, "draw from those with at least this share of the likeliest one's probability", "P"
    )
    temperature: float = number(1.0, "divide logits by T before drawing", "T")

    def check(self) -> None:
        if self.merge is not None:
            return
        super().check()
        self.refuse_a_file("dest")
        if self.from_jsonl:
            if len(self.from_jsonl) != 2:
                raise OptionError("{from_jsonl}: give two files, real texts and generated ones")
            return self.need("like", "dest", why=" with {from_jsonl}")
        self.need("data", why=" to generate negatives")
        if not self.hf:
            self.need("path", why=" to generate negatives, or {hf}")
        elif self.path:
            raise OptionError("{hf}: {path} is given too, and one model writes; drop one")
        elif self.right_to_left:
            raise OptionError("{right_to_left}: Hugging Face models read left to right; drop it")
        self.need("dest", why=" to generate negatives")
        if self.skip_bad_lines:
            raise OptionError("{skip_bad_lines}: goes with {from_jsonl} alone; drop it")
