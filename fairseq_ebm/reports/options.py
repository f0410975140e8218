"""What ``fairseq-ebm report`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..errors import OptionError
from ..options import REQUIRED, Quiet, argument, option, whole


@dataclass(frozen=True)
class Report(Quiet):
    """Writes RUN/report.html, one page that needs nothing else, and RUN/report.md, of all
    reports in RUN that the other verbs have written as JSON.

      fairseq-ebm report RUN
      fairseq-ebm report causal.json analysis.json pools.jsonl --dest report.html
    """

    runs: Tuple[Path, ...] = argument(
        REQUIRED, "folders, or files in them", metavar="RUN", many=True
    )
    dest: Optional[Path] = option(
        None, "page to write (default: report.html in the first folder)", metavar="OUT.html"
    )
    title: str = option("Residual energy-based models of text", "title of the page", metavar="TEXT")
    samples: int = option(6, "prompts to show", whole())
    paper: Optional[Path] = option(
        None,
        'what the papers found where the setting is theirs: {"record": {"entry": "text"}}',
        metavar="PAPER.json",
    )

    def check(self) -> None:
        super().check()
        if self.dest is not None and self.dest.suffix == ".md":
            raise OptionError(
                f"{{dest}}: {self.dest}: the page of HTML; the Markdown is written beside it"
            )
