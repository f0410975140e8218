"""What ``fairseq-ebm run`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ..errors import OptionError
from ..options import MACHINE, REQUIRED, Quiet, file, flag, text, whole


@dataclass(frozen=True)
class Run(Quiet):
    """Runs the stages of a recipe, or all that the tables of a matrix need, and writes those tables
    to DIR/matrix.md and DIR/matrix.json. docs/formats.md describes both files.

      fairseq-ebm run examples/demo/demo.yaml --dest runs/demo --jobs 2
      fairseq-ebm run examples/demo/demo.yaml --dest runs/demo --size large --dry-run
      fairseq-ebm run examples/findings/matrix.yaml --dest runs/matrix --jobs 2 --cpu

    Started again, it skips what is done, resumes what was interrupted, and rebuilds what
    changed with all that depends on it: a command, a file that a command names, the version
    of fairseq_ebm, fairseq or torch. A stage's output goes to DIR/STAGE.log.
    """

    makes = "a file of stages or of tables -> all of the above"
    work = "workflow.run:run_file"
    needs_fairseq = False

    dest: Path = file(REQUIRED, "folder of all that is made", "DIR", group="")
    jobs: int = whole(1, "stages at a time; one that may run beside another has one thread", 1)
    dry_run: bool = flag("print the commands, run nothing")
    size: Optional[str] = text(None, "one of a recipe's sizes (default: the one that it names)")
    cpu: bool = flag("use no GPU for a matrix even if there is one", group=MACHINE)

    file: Path = file(
        REQUIRED, "a recipe (stages), or a matrix (tables)", "FILE.yaml", argument=True
    )

    def check(self) -> None:
        super().check()
        self.refuse_a_file("dest")
        if self.dry_run and self.quiet:
            raise OptionError("{dry_run}: prints the commands, and {quiet} nothing; drop one")
