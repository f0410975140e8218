"""What programs can be asked for: a frozen dataclass a verb.

A field is a parameter in Python and a flag of the program, with one help text and one check for
both. Nothing heavy is imported here or in a room's ``options``, so that a wrong flag is refused at
once.
"""

import dataclasses
import operator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Tuple, Union

from .errors import OptionError
from .launchers import launched, local_rank

if TYPE_CHECKING:
    import torch

REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()
MACHINE, OUTPUT = "machine", "output"

Kind = Callable[[Any], Any]  # a word of the command line, or a value from Python -> the value
Record = Dict[str, Any]


def option(
    default: Any,
    help: str,
    kind: Optional[Kind] = None,
    *,
    metavar: Optional[str] = None,
    group: str = "",
    many: bool = False,
) -> Any:
    """A flag. ``kind`` reads and checks the value, of each where there are ``many``; a path where
    the annotation says so, else text. With ``default`` REQUIRED there must be one."""
    return field(default=default, metadata={**locals(), "positional": False})


def argument(
    default: Any, help: str, kind: Optional[Kind] = None, *, metavar: str, many: bool = False
) -> Any:
    """As ``option``, but given by its place."""
    return field(default=default, metadata={**locals(), "group": "", "positional": True})


@dataclass(frozen=True)
class Options:
    """What is wrong is an ``OptionError`` that names the parameter; programs say the flag."""

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if value is REQUIRED:
                raise OptionError(f"{{{each.name}}}: needed")
            if value is not None and value is not each.default:
                object.__setattr__(self, each.name, _read(each, value))
        self.check()

    def check(self) -> None:
        """What belongs together, and what does not."""

    @classmethod
    def flags(cls) -> Mapping[str, str]:
        """What parameters that are no flags are called on a command line."""
        positional = (each for each in dataclasses.fields(cls) if each.metadata["positional"])
        return {each.name: each.metadata["metavar"] for each in positional}

    def recorded(self, *names: str) -> Record:
        """So many of the options, as JSON has them."""
        return {name: _plain(getattr(self, name)) for name in names}


def kind_of(each: "dataclasses.Field[Any]") -> Kind:
    kind: Optional[Kind] = each.metadata["kind"]
    return kind or (Path if "Path" in str(each.type) else str)


def _read(each: "dataclasses.Field[Any]", value: Any) -> Any:
    if isinstance(each.default, bool):
        return bool(value)
    kind = kind_of(each)
    try:
        if each.metadata["many"]:
            return tuple(map(kind, [value] if isinstance(value, (str, Path)) else value))
        return kind(value)
    except (ValueError, TypeError) as error:
        raise OptionError(f"{{{each.name}}}: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def whole(least: int = 0, most: int = 2**63 - 1) -> Kind:
    def read(value: Union[str, int]) -> int:
        try:
            number = int(value) if isinstance(value, str) else operator.index(value)
        except (ValueError, TypeError):
            number = least - 1
        if not least <= number <= most:
            limit = f" up to {most}" if most < 2**63 - 1 else ""
            raise ValueError(f"'{value}' is not a whole number from {least}{limit}")
        return number

    return read


def number(value: Union[str, float]) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"'{value}' is not a number") from None


def share(least: float = 0.0) -> Kind:
    """From ``least`` to 1; of text, "0.1%", "0.001" or "2/3"."""

    def read(value: Union[str, float]) -> float:
        try:
            percent = isinstance(value, str) and value.endswith("%")
            found = float(Fraction(str(value)[:-1]) / 100 if percent else Fraction(value))
        except (ValueError, ZeroDivisionError):
            found = -1.0
        if not least <= found <= 1:
            meant = f"; {value}% may be meant" if 1 < found < 100 else ""
            raise ValueError(f"'{value}' is not a share from {least:g} to 1{meant}")
        return found

    return read


def wholes(least: int = 0) -> Kind:
    """Several, with commas in text."""

    def read(value: Any) -> Tuple[int, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        try:
            return tuple(map(whole(least), [parts] if isinstance(parts, int) else parts))
        except ValueError:
            raise ValueError(
                f"'{value}' is not whole numbers from {least} with commas between them"
            ) from None

    return read


def one_of(*names: str) -> Kind:
    def read(value: str) -> str:
        if value not in names:
            raise ValueError(f"'{value}' is none of {', '.join(names)}")
        return value

    read.names = names  # type: ignore[attr-defined]
    return read


@dataclass(frozen=True)
class Quiet(Options):
    quiet: bool = option(False, "print nothing but errors", group=OUTPUT)


@dataclass(frozen=True)
class Reporting(Quiet):
    """Of verbs whose record can be kept."""

    results_path: Optional[Path] = option(
        None, "write the report there", metavar="OUT.json", group=OUTPUT
    )

    @property
    def out(self) -> Optional[Path]:
        return self.results_path


@dataclass(frozen=True)
class Drawing(Reporting):
    draw: bool = option(False, "draw the report's pictures beside it: OUT.NAME.svg", group=OUTPUT)

    def check(self) -> None:
        super().check()
        if self.draw and self.out is None:
            raise OptionError("{results_path}: needed with {draw}")


@dataclass(frozen=True)
class Machine(Options):
    cpu: bool = option(False, "use no GPU even if there is one", group=MACHINE)
    bf16: bool = option(False, "the model in bfloat16", group=MACHINE)
    fp16: bool = option(False, "the model in float16; needs a GPU", group=MACHINE)

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
    sampling_memory: Optional[float] = option(
        None,
        "what samples in hand may take (default: 24 on a GPU, 1 on a CPU); how work is cut follows "
        "from it, and with that the last bit of what is computed, so it is recorded",
        number,
        metavar="GIB",
        group=MACHINE,
    )


@dataclass(frozen=True)
class Shards(Options):
    num_shards: Optional[int] = option(
        None,
        "do a part of the work, 1/N (default: from torchrun or Slurm, else all)",
        whole(1),
        metavar="N",
        group=MACHINE,
    )
    shard_id: Optional[int] = option(
        None, "which part, from 0", whole(), metavar="I", group=MACHINE
    )

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
            raise OptionError(
                f"{{shard_id}}: {index} is not one of {shards} shards (0 to {shards - 1})"
            )
        return index, shards


def seed_option() -> Any:
    return option(1, "of all random numbers", whole(), metavar="N")
