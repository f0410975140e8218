"""What ``fairseq-ebm report`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..errors import OptionError
from ..options import REQUIRED, Quiet, file, text, whole


@dataclass(frozen=True)
class Report(Quiet):
    """Writes RUN/report.html, one page that needs nothing else, and RUN/report.md, of all
    reports in RUN that the other verbs have written as JSON.

      fairseq-ebm report RUN
      fairseq-ebm report causal.json analysis.json pools.jsonl --dest report.html
    """

    makes = "the records of all these -> one page"
    work = "reports.report:report"
    needs_fairseq = False

    runs: Tuple[Path, ...] = file(REQUIRED, "folders, or files", "RUN", argument=True, many=True)
    dest: Optional[Path] = file(
        None, "page to write (default: report.html in the first folder)", "OUT.html"
    )
    title: str = text("Residual energy-based models of text", "title of the page", "TEXT")
    samples: int = whole(6, "prompts to show")
    paper: Optional[Path] = file(
        None, 'what the papers found in the same setting: {"record": {"entry": "text"}}',
        "PAPER.json",
    )  # fmt: skip

    def check(self) -> None:
        super().check()
        if self.dest is not None and self.dest.suffix == ".md":
            raise OptionError(f"{{dest}}: {self.dest}: for HTML; Markdown is written beside it")
