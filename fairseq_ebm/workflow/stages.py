"""Stages: what each runs and needs, and what follows from that for all of them."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePosixPath
from typing import Dict, Optional, Set, Tuple

from ..errors import UserError

STATES = ".stages"  # the folder of what a run knows about its stages
LOG = ".log"  # DIR/NAME.log has a stage's output


@dataclass(frozen=True)
class Stage:
    """``name`` is also its folder, within that of the run: all that it makes is in there, and
    nothing else. ``command``: an installed program or a file of Python, then its arguments.
    ``needs``: names of earlier stages."""

    name: str
    title: str
    command: Tuple[str, ...]
    needs: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        first = path.parts[0] if path.parts else "/"
        is_plain = str(path) == self.name and ".." not in path.parts and path.suffix != LOG
        if first in ("/", STATES) or not is_plain:
            raise UserError(f"'{self.name}' cannot be the name of a stage and of its folder")


def require_apart(stages: Sequence[Stage]) -> None:
    """Or rebuilding one stage would remove what another has made."""
    for one, other in combinations(sorted(stage.name for stage in stages), 2):
        if other.startswith(f"{one}/"):
            raise UserError(f"stage {other}: its folder would be in that of stage {one}")


def in_words(stage: Stage) -> str:
    """To be read, or run by hand."""
    return f"# {stage.title}\n{shlex.join(stage.command)}"


def threads_of(stages: Sequence[Stage], jobs: int) -> Dict[str, Optional[int]]:
    """One for each stage beside which another may run; None, all that there are, for the others.
    What happens to run at the time decides nothing: the last bit of a sum depends on the threads.
    """
    before: Dict[str, Set[str]] = {}
    for stage in stages:  # each comes after what it needs
        before[stage.name] = set(stage.needs).union(*(before[name] for name in stage.needs))
    threads: Dict[str, Optional[int]] = {}
    for one, needed in before.items():
        is_alone = all(one in {o, *theirs} or o in needed for o, theirs in before.items())
        threads[one] = None if is_alone or jobs == 1 else 1
    return threads


def depths(stages: Sequence[Stage]) -> Dict[str, int]:
    """The length of the longest chain of stages that depend on each."""
    lengths = {stage.name: 0 for stage in stages}
    for stage in reversed(stages):
        for name in stage.needs:
            lengths[name] = max(lengths[name], lengths[stage.name] + 1)
    return lengths
