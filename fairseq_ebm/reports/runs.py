"""A program that puts what many runs have given on one page: PROGRAM RUNS OUT.md [--learned MD]"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import List, Optional

from . import html, markdown
from .page import Section


def page_of_runs(
    about: str,
    title: str,
    sections: Callable[[Path], List[Section]],
    words: Optional[Sequence[str]] = None,
) -> None:
    """Writes OUT.md, and beside the runs a page of HTML, of the same name, that has the pictures,
    too. ``about``: its first line says what the program does; ``words``: its arguments."""
    parser = argparse.ArgumentParser(description=about.split("\n", maxsplit=1)[0])
    parser.add_argument("runs", type=Path, help="folder of runs")
    parser.add_argument("out", type=Path, help="Markdown to write")
    parser.add_argument("--learned", type=Path, help="Markdown to end with")
    given = parser.parse_args(words)
    made = sections(given.runs)
    ending = "\n" + given.learned.read_text(encoding="utf-8") if given.learned else ""
    here = f"{given.runs.resolve()}/"  # which is of no use to a reader
    given.out.parent.mkdir(parents=True, exist_ok=True)
    text = markdown.page(title, made).replace(here, "")
    given.out.write_text(text + ending, encoding="utf-8")
    page = given.runs / f"{given.out.stem}.html"
    page.write_text(html.page(title, made, []).replace(here, ""), encoding="utf-8")
    print(f"{given.out}, {page}")
