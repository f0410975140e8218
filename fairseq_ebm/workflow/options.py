"""What ``fairseq-ebm run`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ..options import MACHINE, REQUIRED, Quiet, argument, option, whole


@dataclass(frozen=True)
class Run(Quiet):
    """Runs the stages of a recipe, or all that the tables of a matrix need, and writes those tables
    to DIR/matrix.md and DIR/matrix.json. docs/formats.md describes both files.

      fairseq-ebm run examples/demo/demo.yaml --dest runs/demo --jobs 2
      fairseq-ebm run examples/demo/demo.yaml --dest runs/demo --size full --dry-run
      fairseq-ebm run examples/matrix/small.yaml --dest runs/matrix --jobs 2 --cpu

    Started again, it skips what is done, resumes what was interrupted, and rebuilds what
    changed with all that depends on it: a command, a file that a command names, the version
    of fairseq_ebm, fairseq or torch. A stage's output goes to DIR/STAGE.log.
    """

    file: Path = argument(
        REQUIRED, "a recipe (has stages) or a matrix (has tables)", metavar="FILE.yaml"
    )
    dest: Path = option(REQUIRED, "folder of all that is made", metavar="DIR")
    jobs: int = option(
        1,
        "stages at a time; a stage that may run beside another has one thread",
        whole(1),
    )
    dry_run: bool = option(False, "print the commands, run nothing")
    size: Optional[str] = option(
        None, "one of a recipe's sizes (default: the one that the recipe names)"
    )
    cpu: bool = option(False, "use no GPU for a matrix even if there is one", group=MACHINE)
