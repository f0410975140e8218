"""What ``fairseq-ebm explore`` can be asked for, and what its page can ask of it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Optional

from ..errors import OptionError
from ..options import REQUIRED, Machine, Options, Quiet, file, flag, option, text, whole

SERVER = "server"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_CHARACTERS = 20_000


@dataclass(frozen=True)
class Explore(Quiet, Machine):
    """Opens a page in the browser: proposals of a language model sorted by an energy, how likely a
    text is, whether it looks generated, and the report of a run. Ctrl-C ends it.

      fairseq-ebm explore DATA --path lm.pt:energy.pt --store NEG --results runs/demo
      fairseq-ebm explore runs/demo                     # the report alone

    Nothing is fetched from elsewhere, and nothing sent. Needs the extra: pip install
    'fairseq_ebm[explore]'.
    """

    makes = "a language model, an energy -> a page to play with"
    work = "explore.server:explore"

    data: Path = file(REQUIRED, "prepared directory, for its vocabulary; without --path, a folder "
                      "of reports", "DATA", argument=True)  # fmt: skip
    path: Optional[str] = text(None, "checkpoints, as for eval-lm", "LM.pt:ENERGY.pt", group="")
    store: Optional[Path] = file(None, "negatives, to tell real from generated text by", "NEG")
    results: Optional[Path] = file(None, "folder of reports to show beside it", "RUNS")
    window: Optional[int] = whole(
        None, "tokens that the models see at once (default: what the energy was trained on)", 2
    )
    calibration: int = whole(200, "windows of NEG to compare texts with, at most", 10)
    seed: int = whole(1, "which windows of NEG these are; the page has seeds of its own")
    host: str = text("127.0.0.1", "address to listen on; another one needs the token that is then "
                     "printed", "ADDRESS", group=SERVER)  # fmt: skip
    port: int = whole(8642, "port; 0: any that is free", 0, 65535)
    token: bool = flag("ask for a token here, too: others who use this machine can reach 127.0.0.1")
    open: bool = flag("open the page in the browser that this machine has")

    def check(self) -> None:
        super().check()
        if not self.host:
            raise OptionError("{host}: an empty address; 0.0.0.0 are all that this machine has")
        if self.path is None:
            for name in ("store", "results", "window"):
                if getattr(self, name) is not None:
                    raise OptionError(f"{{{name}}}: needs {{path}}")
            if not self.data.is_dir():
                raise OptionError(f"{{data}}: {self.data}: no such folder")
        elif self.results is not None and not self.results.is_dir():
            raise OptionError(f"{{results}}: {self.results}: no such folder")

    @property
    def reports(self) -> Optional[Path]:
        return self.data if self.path is None else self.results

    @property
    def is_open(self) -> bool:
        """Whether no token is needed: only this machine can reach it."""
        return self.host in LOOPBACK and not self.token


def read_passage(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    if len(value) > MOST_CHARACTERS:
        raise ValueError(f"{len(value):,} characters; {MOST_CHARACTERS:,} are the most")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("holds half a character")
    return value.replace("\r\n", "\n").replace("\r", "\n")


def seed() -> Any:
    return whole(1, "Seed", 0, 2**32 - 1)  # as numpy and fairseq's programs have it


def passage(default: Any, help: str) -> Any:
    return option(read_passage, default, help, "TEXT", group="")


@dataclass(frozen=True)
class Asked(Options):
    """By the page. ``help`` is what a field is called there."""

    needs_fairseq = False

    @classmethod
    def labels(cls) -> "dict[str, str]":
        own = {each.name: each.metadata["help"] for each in fields(cls)}
        return {**own, "num_draws": "Draws", "joint_samples": "Proposals"}


@dataclass(frozen=True)
class Write(Asked):
    prompt: str = passage("", "Prompt")
    proposals: int = whole(256, "Proposals", 2, 4096)
    draws: int = whole(3, "Draws", 1, 20)
    length: Optional[int] = whole(None, "New tokens", 1, 1024)
    top_k: Optional[int] = whole(None, "Top-k", 1)
    seed: int = seed()


@dataclass(frozen=True)
class Likely(Asked):
    prefix: str = passage("", "Beginning")
    continuation: str = passage(REQUIRED, "Continuation")
    samples: int = whole(256, "Samples", 2, 4096)
    seed: int = seed()


@dataclass(frozen=True)
class Next(Asked):
    """After the first ``position`` tokens of a text."""

    prefix: str = passage("", "Beginning")
    continuation: str = passage("", "Continuation")
    position: Optional[int] = whole(None, "Position")
    candidates: int = whole(16, "Candidates", 2, 128)
    samples: int = whole(32, "Samples", 2, 256)
    seed: int = seed()


@dataclass(frozen=True)
class Judge(Asked):
    text: str = passage(REQUIRED, "Text")
    share: int = whole(10, "Per cent of places that attacks change", 1, 100)
    seed: int = seed()
