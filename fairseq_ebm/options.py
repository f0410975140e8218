"""What verbs can be asked for: a frozen dataclass each, in the room that does the work.

A field is a parameter in Python and a flag of the program, with one help text and one check for
both. Nothing heavy is imported here or in a room's ``options``: a wrong flag is refused at once.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Dict, Optional, Tuple

from .errors import OptionError
from .launchers import launched, local_rank
from .values import (
    Read,
    one_of,
    read_flag,
    read_number,
    read_path,
    read_text,
    share_from,
    whole_from,
    wholes_from,
)

if TYPE_CHECKING:
    import torch

REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()
MACHINE, OUTPUT = "machine", "output"

Record = Dict[str, Any]


def option(read: Read, default: Any, help: str, metavar: str, **more: Any) -> Any:
    """A field. ``more``: ``group`` of flags (default: that of the field before); ``many`` values,
    one for each flag if it is ``repeated``; ``argument``: given by its place. REQUIRED: there is no
    default."""
    group = "" if more.get("argument") else None
    known = {"group": group, "many": False, "repeated": False, "argument": False}
    metadata = {"read": read, "help": help, "metavar": metavar, **known, **more}
    return dataclasses.field(default=default, metadata=metadata)


def flag(help: str, **more: Any) -> Any:
    return option(read_flag, False, help, "", **more)


def text(default: Any, help: str, metavar: str = "NAME", **more: Any) -> Any:
    return option(read_text, default, help, metavar, **more)


def file(default: Any, help: str, metavar: str, **more: Any) -> Any:
    return option(read_path, default, help, metavar, **more)


def number(default: Any, help: str, metavar: str, **more: Any) -> Any:
    return option(read_number, default, help, metavar, **more)


def whole(default: Any, help: str, least: int = 0, most: int = 2**63 - 1, **more: Any) -> Any:
    return option(whole_from(least, most), default, help, "N", **more)


def wholes(default: Any, help: str, least: int, metavar: str = "N,N,…", **more: Any) -> Any:
    return option(wholes_from(least), default, help, metavar, **more)


def share(default: Any, help: str, least: float = 0.0, metavar: str = "S", **more: Any) -> Any:
    return option(share_from(least), default, help, metavar, **more)


def choice(default: Any, help: str, names: Tuple[str, ...], **more: Any) -> Any:
    return option(one_of(names), default, help, f"{{{','.join(names)}}}", **more)


def fairseq_flag(default: Any, help: str, **more: Any) -> Any:
    """A field of one of fairseq's configurations, which fairseq makes a flag of."""
    return dataclasses.field(default=default, metadata={"help": help, **more})


@dataclass(frozen=True)
class Options:
    """What is wrong is an ``OptionError`` that names the parameter; programs say the flag.

    ``makes``: what of what, in the map of verbs; ``work``: MODULE:FUNCTION that does it.
    """

    makes: ClassVar[str] = ""
    work: ClassVar[str] = ""
    needs_fairseq: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if value is REQUIRED or (value is None and each.default is not None):
                raise OptionError(f"{{{each.name}}}: needed")
            if value is not each.default:
                object.__setattr__(self, each.name, _read(each, value))
        self.check()

    def check(self) -> None:
        """What belongs together, and what does not."""

    @classmethod
    def arguments(cls) -> Mapping[str, str]:
        """What those that are no flags are called on a command line."""
        fields = (each for each in dataclasses.fields(cls) if each.metadata["argument"])
        return {each.name: each.metadata["metavar"] for each in fields}

    def recorded(self, *names: str) -> Record:
        """So many of the options, as JSON has them."""
        return {name: _plain(getattr(self, name)) for name in names}

    def need(self, *names: str, why: str = "") -> None:
        for name in names:
            if getattr(self, name) is None:
                raise OptionError(f"{{{name}}}: needed{why}")

    def refuse_a_file(self, name: str) -> None:
        """Where a folder is made."""
        path = getattr(self, name)
        if path is not None and path.exists() and not path.is_dir():
            raise OptionError(f"{{{name}}}: {path} is a file, not a folder")


def _read(each: "dataclasses.Field[Any]", value: Any) -> Any:
    read = each.metadata["read"]
    try:
        if each.metadata["many"]:
            return tuple(map(read, [value] if isinstance(value, (str, Path)) else value))
        return read(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise OptionError(f"{{{each.name}}}: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


@dataclass(frozen=True)
class Quiet(Options):
    quiet: bool = flag("print nothing but errors", group=OUTPUT)


@dataclass(frozen=True)
class Reporting(Quiet):
    """Of verbs whose record can be kept."""

    results_path: Optional[Path] = file(None, "write the report there", "OUT.json")

    def check(self) -> None:
        super().check()
        if self.out is not None and self.out.is_dir():
            raise OptionError(f"{{results_path}}: {self.out} is a folder")

    @property
    def out(self) -> Optional[Path]:
        return self.results_path


@dataclass(frozen=True)
class Drawing(Reporting):
    draw: bool = flag("draw the report's pictures beside it: OUT.NAME.svg")

    def check(self) -> None:
        super().check()
        if self.draw and self.out is None:
            raise OptionError("{results_path}: needed with {draw}")


@dataclass(frozen=True)
class Machine(Options):
    cpu: bool = flag("use no GPU even if there is one", group=MACHINE)
    bf16: bool = flag("the model in bfloat16")
    fp16: bool = flag("the model in float16; needs a GPU")

    def check(self) -> None:
        super().check()
        if self.fp16 and self.bf16:
            raise OptionError("{fp16}: {bf16} is given too; drop one")

    @property
    def precision(self) -> str:
        return "fp16" if self.fp16 else "bf16" if self.bf16 else "fp32"

    @property
    def device(self) -> "torch.device":
        """Each process takes its own GPU."""
        import torch  # noqa: PLC0415 (takes seconds)

        if self.cpu or not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", local_rank() % torch.cuda.device_count())


@dataclass(frozen=True)
class Sampling(Machine):
    sampling_memory: Optional[float] = number(
        None,
        "what samples in hand may take (default: 24 on a GPU, 1 on a CPU); how work is cut follows "
        "from it, and with that the last bit of what is computed, so it is recorded",
        "GIB",
    )


@dataclass(frozen=True)
class Shards(Options):
    num_shards: Optional[int] = whole(
        None, "do a part of the work, 1/N (default: from torchrun or Slurm, else all)", 1,
        group=MACHINE,
    )  # fmt: skip
    shard_id: Optional[int] = whole(None, "which part, from 0")

    def check(self) -> None:
        super().check()
        _ = self.shard

    @property
    def shard(self) -> Tuple[int, int]:
        """(shard, shards): from the options, else from the launcher, else all of the work."""
        index, shards = self.shard_id, self.num_shards
        if index is None or shards is None:
            if index is not None or shards is not None:
                raise OptionError("{shard_id} and {num_shards}: give both or neither")
            index, shards = launched()
        if not 0 <= index < shards:
            problem = f"{index} is not one of {shards} shards (0 to {shards - 1})"
            raise OptionError(f"{{shard_id}}: {problem}")
        return index, shards


@dataclass(frozen=True)
class Seeded(Options):
    seed: int = whole(1, "of all random numbers", group="")
