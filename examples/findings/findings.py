"""One page of what the papers found, found again or not: findings.py RUNS OUT.md

RUNS has a folder for each corpus (docs, packages), made by findings.yaml, and `second`, made by
matrix.yaml. RUNS/OUT.html has the pictures, too. What is missing is left out, and said.
"""

import re
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch

from fairseq_ebm.models.initialisation import COPY
from fairseq_ebm.records import read_json
from fairseq_ebm.reports.kinds import items_of
from fairseq_ebm.reports.page import Section, Table, between, number, percent
from fairseq_ebm.reports.runs import page_of_runs

CORPORA = {"docs": "documentation of Python", "packages": "documentation of seven packages"}

# In the order of the paper's table 1; with what the paper calls it, and its figures on CC-News and
# the Toronto books.
MODELS = {
    "base": ("BASE LM", "17.57, 18.29"),
    "ralm": ("RALM", "16.17, 17.85"),
    "balm": ("BALM", "15.74, 16.99"),
    "unit-plain": ("JOINT UNIT", "15.57, 16.98"),
    "bit": ("JOINT BIT", "14.61, –"),
    "bit-external": ("JOINT BIT*, from the other corpus", "14.37, 15.72"),
    "ngrams": ("JOINT, n-grams alone", ""),
    "by-heart": ("JOINT, n-grams and repetitions alone", ""),
    "counted": ("JOINT, n-grams, repetitions and counts alone", ""),
    "unit": ("JOINT UNIT with n-grams", ""),
    "ratio": ("JOINT, ratio start from RALM", ""),
    "ratio-ngrams": ("JOINT, ratio start from RALM, with n-grams", ""),
    "deeper": ("deeper LM (BASE-24L)", "14.89, –"),
    "unit-deeper": ("JOINT UNIT with n-grams on the deeper LM", "13.01 (BIT), –"),
    "unit-balm": ("JOINT UNIT with n-grams on BALM", ""),
    "counted-balm": ("JOINT, n-grams, repetitions and counts alone, on BALM", ""),
}
# (what is claimed, what the paper has, the better model, the worse one); None: its own base.
CLAIMS = (
    ("RALM is below BASE LM", "found", "ralm", "base"),
    ("BALM is below RALM", "found", "balm", "ralm"),
    ("a deeper LM is below BASE LM", "found", "deeper", "base"),
    ("JOINT UNIT is below BASE LM", "found", "unit-plain", None),
    ("JOINT UNIT is below RALM", "found", "unit-plain", "ralm"),
    ("JOINT UNIT is below BALM", "found", "unit-plain", "balm"),
    ("JOINT BIT is below JOINT UNIT", "found", "bit", "unit-plain"),
    ("JOINT BIT is below RALM", "found", "bit", "ralm"),
    ("pretraining on other text helps BIT", "found", "bit-external", "bit"),
    ("JOINT with n-grams alone is below BASE LM", "", "ngrams", None),
    ("JOINT with n-grams alone is below RALM", "", "ngrams", "ralm"),
    ("with n-grams, JOINT UNIT is below RALM", "", "unit", "ralm"),
    ("with n-grams, JOINT UNIT is below BALM", "", "unit", "balm"),
    ("repetitions add to n-grams", "", "by-heart", "ngrams"),
    ("JOINT with both is below RALM", "", "by-heart", "ralm"),
    ("counts of the training text add to both", "", "counted", "by-heart"),
    ("JOINT with all three is below BALM", "", "counted", "balm"),
    ("a network adds to n-grams", "", "unit", "ngrams"),
    ("n-grams add to a network", "", "ngrams", "unit-plain"),
    ("a ratio start ends below the LM that it starts from", "", "ratio", "ralm"),
    (
        "a ratio start with n-grams ends below the LM that it starts from",
        "",
        "ratio-ngrams",
        "ralm",
    ),
    ("an energy improves the deeper LM, too", "found", "unit-deeper", None),
    ("an energy improves the best LM, too", "found", "unit-balm", None),
    ("an energy of counts improves the best LM, too", "", "counted-balm", None),
)
SEEDS = ("", "-2", "-3")  # of the better model's training, behind its name
SEEDED = (
    ("RALM is below BASE LM", "ralm", "base"),
    ("JOINT UNIT is below BASE LM", "unit-plain", None),
    ("JOINT UNIT is below RALM", "unit-plain", "ralm"),
    ("JOINT, n-grams and repetitions, is below BASE LM", "by-heart", None),
    ("JOINT, n-grams and repetitions, is below RALM", "by-heart", "ralm"),
)


Figures = Sequence[Tuple[str, Sequence[str]]]
FIRST_PAPER: Figures = (
    ("The first paper's figure 1: gain at every position", ("positions-unit", "positions-bit")),
    ("Its figure 2, left: bounds against the number of samples", ("curve",)),
    ("Its figures 2, right, and 3: what the models write", ("analysis",)),
    ("Its table 3: the next token", ("next",)),
)
SECOND_PAPER: Figures = (
    (
        "The second paper's figure 4, TF-IDF and all scores without training; UniT alone",
        ("scores",),
    ),
    (
        "Its figure 3: energies by the ranking loss, margin 0.1, and by ranking NCE",
        ("ranking", "ranking-nce"),
    ),
    ("What is known by heart, counts too, as a detector", ("counted",)),
    (
        "Its table 6: whole texts, the energy in-domain, then one of windows",
        ("whole", "whole-windows"),
    ),
    ("Its figure 2, section 5.6: one word changed, random symbols, attacks", ("words",)),
)

COPIES = re.compile(rf".*{COPY}")


class Gain(NamedTuple):
    gain: float
    ci95: Optional[Sequence[float]]  # None: it may be anything

    @property
    def verdict(self) -> str:
        if self.ci95 and self.ci95[0] > 0:
            return "found"
        return "not found" if self.gain <= 0 else "overlapping"

    @property
    def words(self) -> str:
        return percent(self.gain, 2) + between(self.ci95, 2, 100)


def read(folder: Path, name: str) -> Optional[Dict[str, Any]]:
    path = folder / name / f"{Path(name).name}.json"
    return read_json(path) if path.exists() else None


def gain_of(folder: Path, better: str, worse: Optional[str], part: str = "table") -> Optional[Gain]:
    record = read(folder, f"{part}/{better}")
    if record is None:
        return None
    if worse is None:
        return Gain(record["gain"], record["gain_ci95"])
    rows = [row for row in record.get("baselines", ()) if row["name"] == worse]
    return Gain(rows[0]["gain"], rows[0]["gain_ci95"]) if rows else None


def perplexity(record: Optional[Dict[str, Any]]) -> str:
    if record is None:
        return "–"
    if "joint_ppl_lower" not in record:
        return number(record["base_ppl"]) + between(record["base_ppl_ci95"])
    bounds = f"{number(record['joint_ppl_lower'])} to {number(record['joint_ppl_upper'])}"
    return bounds + between(record["joint_ppl_ci95"])


def parameters(folder: Path, model: str) -> str:
    path = folder / model / "checkpoint_best.pt"
    if not path.exists():
        return "–"
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["model"]
    # Tied matrices are one; fairseq keeps copies of an encoder layer's weights in the layer itself.
    own = {t.data_ptr(): t.numel() for n, t in state.items() if not COPIES.fullmatch(n)}
    return number(sum(own.values()) / 1e6)


def minutes(folder: Path, stage: str) -> Optional[float]:
    state = folder / ".stages" / f"{stage}.json"
    seconds = read_json(state).get("seconds") if state.exists() else None  # none: under way
    return None if seconds is None else seconds / 60


def first_table(folder: Path, corpus: str) -> Table:
    rows = []
    for name, (title, paper) in MODELS.items():
        test, valid = (read(folder, f"{part}/{name}") for part in ("table", "valid"))
        ess = "" if test is None or "ess" not in test else number(test["ess"]["mean"], 0)
        cells = [perplexity(test), perplexity(valid), ess, parameters(folder, name)]
        rows.append([title, *cells, number(minutes(folder, name), 1), paper])
    heads = ["model", "test perplexity", "valid", "effective samples", "million parameters"]
    note = (
        f"{CORPORA[corpus]}; lower and upper bound, 95% intervals over windows; minutes of this "
        "part's training, two stages at a time. A table of n-grams has 1.05 million numbers; of "
        "counts there are 16.8 million, a byte each."
    )
    return Table([*heads, "minutes", "the paper's"], rows, note)


def claims_table(folders: Dict[str, Path]) -> Table:
    rows = []
    for claim, paper, better, worse in CLAIMS:
        gains = [gain_of(folder, better, worse) for folder in folders.values()]
        cells = [cell for g in gains for cell in ((g.verdict, g.words) if g else ("not run", "–"))]
        rows.append([claim, paper or "not asked", *cells])
    heads = [head for corpus in folders for head in (corpus, "by (95%, paired by window)")]
    note = (
        "found: the interval is above 0; overlapping: only its middle is; not found: not even "
        "that. Gains are of the least favourable bounds: the upper perplexity of the better model, "
        "the lower one of the other."
    )
    return Table(["claim", "paper", *heads], rows, note)


def seeds_table(folder: Path) -> Optional[Table]:
    rows = []
    for claim, better, worse in SEEDED:
        found = [gain_of(folder, better + seed, worse) for seed in SEEDS]
        gains = [100 * each.gain for each in found if each is not None]
        if len(gains) == len(SEEDS):
            verdicts = ", ".join(dict.fromkeys(each.verdict for each in found if each is not None))
            spread = f"{mean(gains):.2f}% ± {stdev(gains):.2f}"
            rows.append([claim, *(f"{gain:.2f}%" for gain in gains), spread, verdicts])
    heads = ["claim", "seed 1", "seed 2", "seed 3", "mean ± standard deviation", "verdicts"]
    note = "one base LM and one set of negatives; another seed of the better model's training."
    return Table(heads, rows, note) if rows else None


def figures(folder: Path, corpus: str, shown: Figures) -> List[Section]:
    made = []
    for title, names in shown:
        records = [read(folder, f"figures/{name}") for name in names]
        items = [item for record in records if record is not None for item in items_of(record)]
        if items:
            made.append(Section(f"{title} ({corpus})", items))
    return made


def second_paper(folder: Path) -> List[Section]:
    path = folder / "matrix.json"
    if not path.exists():
        return [Section("The second paper", ["not run: matrix.yaml"])]
    return [Section("The second paper", items_of(read_json(path)))]


def sections(runs: Path) -> List[Section]:
    folders = {corpus: runs / corpus for corpus in CORPORA if (runs / corpus / "table").exists()}
    made = [
        Section(f"The first paper's table 1 ({corpus})", [first_table(folder, corpus)])
        for corpus, folder in folders.items()
    ]
    made.append(Section("The first paper's claims", [claims_table(folders)]))
    for corpus, folder in folders.items():
        seeds = seeds_table(folder)
        if seeds is not None:
            made.append(Section(f"Three seeds ({corpus})", [seeds]))
        made += figures(folder, corpus, FIRST_PAPER)
    made += second_paper(runs / "second")
    for corpus, folder in folders.items():
        made += figures(folder, corpus, SECOND_PAPER)
    return made


def main(words: Optional[Sequence[str]] = None) -> None:
    title = "What the papers found, found again on two cores"
    page_of_runs(__doc__, title, sections, words)


if __name__ == "__main__":
    main()
