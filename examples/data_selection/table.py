"""What selection was worth: table.py RUNS OUT.md

RUNS has a folder for each seed (1, 2, 3), made by small.yaml. What is missing is left out, and
said. RUNS/OUT.html has the pictures, too.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Dict, List, Optional, Sequence, Tuple
from urllib.parse import quote

import numpy as np

from fairseq_ebm.records import read_json
from fairseq_ebm.reports.kinds import items_of
from fairseq_ebm.reports.page import Section, Table, between, number, percent
from fairseq_ebm.reports.runs import page_of_runs

SEEDS = ("1", "2", "3")
WINDOW, RESAMPLES = 64, 2000
# What each costs: the stages that are its own. In the paper's figures, nats a byte on RCV1, decoded
# from its authors' files: before and after fine-tuning.
SYSTEMS: Dict[str, Tuple[Sequence[str], str]] = {
    "generic": (("lm/generic",), "1.210, 0.864"),
    "mix": (("lm/mix",), "0.860, 0.846"),
    "classifier": (("lm/classifier",), "1.115, 0.892"),
    "cds": (("before", "after", "scores/cds", "lm/cds"), "1.103, 0.830"),
    "dds": (("lm/dds",), "1.044, 0.822"),
    "anograd": (("lm/anograd",), "1.044, 0.823"),
    "soba": (("lm/soba",), "1.018, 0.819"),
    "energy": (("contrast", "energy", "lm/energy"), ""),
    "oracle": (("lm/oracle",), ""),
}
BEFORE, AFTER = "results", "tuned-results"
# (claim, what the authors' figures say, before or after fine-tuning, the better, the worse)
CLAIMS = (
    ("the classifier is below generic", "found", BEFORE, "classifier", "generic"),
    ("CDS is below generic", "found", BEFORE, "cds", "generic"),
    ("DDS is below generic", "found", BEFORE, "dds", "generic"),
    ("anograd is below generic", "found", BEFORE, "anograd", "generic"),
    ("SOBA is below generic", "found", BEFORE, "soba", "generic"),
    ("an energy of this package is below generic", "", BEFORE, "energy", "generic"),
    ("SOBA is below DDS", "found", BEFORE, "soba", "dds"),
    ("DDS is below the classifier", "found", BEFORE, "dds", "classifier"),
    ("mix is below SOBA", "found", BEFORE, "soba", "mix"),
    ("SOBA, fine-tuned, is below generic, fine-tuned", "found", AFTER, "soba", "generic"),
    ("DDS, fine-tuned, is below generic, fine-tuned", "found", AFTER, "dds", "generic"),
    ("CDS, fine-tuned, is below generic, fine-tuned", "found", AFTER, "cds", "generic"),
    ("classifier, fine-tuned, is below generic, fine-tuned", "no", AFTER, "classifier", "generic"),
    ("energy, fine-tuned, is below generic, fine-tuned", "", AFTER, "energy", "generic"),
    ("SOBA, fine-tuned, is below mix, fine-tuned", "found", AFTER, "soba", "mix"),
    ("SOBA, fine-tuned, is below DDS, fine-tuned", "found", AFTER, "soba", "dds"),
)
TURNED = ("mix is below SOBA",)  # the second is the better one there


def read(folder: Path, part: str, name: str) -> Optional[Dict[str, Any]]:
    path = folder / part / name / f"{name}.json"
    return read_json(path) if path.exists() else None


def loss(folder: Path, part: str, name: str) -> Optional[float]:
    """In nats a token."""
    record = read(folder, part, name)
    return None if record is None else math.log(record["base_ppl"])


def tokens_per_character(folder: Path) -> float:
    counts = read_json(folder / "specific" / "prepare.json")["splits"]["test"]
    return float(counts["tokens"] / counts["characters"])


def seconds(folder: Path, stages: Sequence[str]) -> Optional[float]:
    paths = [folder / ".stages" / f"{quote(stage, safe='')}.json" for stage in stages]
    found = [read_json(path).get("seconds") for path in paths if path.exists()]
    return sum(found) if len(found) == len(stages) and None not in found else None


def run_of(folder: Path, name: str) -> Dict[str, Any]:
    """Of the log of what was chosen; the oracle has none there."""
    path = folder / "log" / "log.json"
    runs = read_json(path)["runs"] if path.exists() else []
    return next((run for run in runs if run["name"] == name), {})


def over_seeds(folders: Sequence[Path], figure: Callable[[Path], Optional[float]]) -> List[float]:
    return [value for value in map(figure, folders) if value is not None]


def spread(values: Sequence[float], digits: int = 3) -> str:
    if not values:
        return "–"
    more = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return number(mean(values), digits) + more


def position(folder: Path, part: str, name: str) -> Optional[float]:
    """0 where generic is, 1 where the oracle is."""
    found = [loss(folder, part, each) for each in ("generic", name, "oracle")]
    if None in found:
        return None
    generic, own, oracle = (float(each) for each in found if each is not None)
    return (generic - own) / (generic - oracle)


def losses_table(folders: Sequence[Path]) -> Table:
    rows = []
    ratio = tokens_per_character(folders[0])
    for name, (_, paper) in SYSTEMS.items():
        cells = [name]
        for part in (BEFORE, AFTER):
            values = over_seeds(folders, lambda f, p=part, n=name: loss(f, p, n))
            places = over_seeds(folders, lambda f, p=part, n=name: position(f, p, n))
            cells += [spread(values), spread([ratio * value for value in values])]
            cells.append(percent(mean(places), 0) if places else "–")
        generic = over_seeds(folders, lambda f, n=name: loss(f, "general-results", n))
        rows.append([*cells, spread(generic), paper])
    heads = ["system", "specific loss, a token", "a character", "to the oracle"]
    heads += ["fine-tuned, a token", "a character", "to the oracle", "generic loss, a token"]
    note = (
        "nats; mean and standard deviation over three seeds. To the oracle: 0% is generic, 100% "
        "the oracle, trained on the right part of the generic text alone. The last column: nats a "
        "byte on RCV1 before and after fine-tuning, from the authors' own files."
    )
    return Table([*heads, "the authors'"], rows, note)


def costs_table(folders: Sequence[Path]) -> Table:
    rows = []
    base = over_seeds(folders, lambda f: seconds(f, SYSTEMS["generic"][0]))
    sources = sorted({s for f in folders for n in SYSTEMS for s in run_of(f, n).get("share", {})})
    for name, (stages, _) in SYSTEMS.items():
        runs = [run for folder in folders if (run := run_of(folder, name))]
        shares = [
            percent(mean(r["share"].get(s, 0.0) for r in runs)) if runs else "–" for s in sources
        ]
        figures = [
            spread([float(r[key]) for r in runs if r[key] is not None], digits)
            for key, digits in (("distinct", 0), ("effective", 1), ("concentration", 2),
                                ("updates_per_second", 1))
        ]  # fmt: skip
        own = over_seeds(folders, lambda f, s=stages: seconds(f, s))
        times = number(mean(own) / mean(base), 2) if own and base else "–"
        rows.append([name, *shares, *figures, number(mean(own) if own else None, 0), times])
    heads = ["system", *(f"from {source}" for source in sources), "distinct examples", "effective"]
    note = (
        "Shares, effective examples of a big batch and concentration of the last tenth of the "
        "updates; seconds with all that a system needs (CDS: fine-tuning and scores, too), two "
        "stages at a time, validation included; times: against generic."
    )
    return Table([*heads, "concentration", "updates/s", "seconds", "times"], rows, note)


def windows(folder: Path, part: str, name: str) -> Optional[Dict[int, float]]:
    """log P of each window of the specific text that was judged."""
    path = folder / part / name / f"{name}.windows.jsonl"
    if not path.exists():
        return None
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return {line["number"]: line["log_lm"] for line in map(json.loads, lines)}


def documents_of(folder: Path, numbers: np.ndarray) -> np.ndarray:
    """In which document of the specific text each window begins. In fairseq's index 18 bytes are
    followed by how many documents there are, and their sizes."""
    index = (folder / "specific" / "test.idx").read_bytes()
    sizes = np.frombuffer(index, np.int32, int(np.frombuffer(index, np.int64, 1, 18)[0]), 26)
    return np.searchsorted(np.cumsum(sizes), numbers * WINDOW, side="right")


def gain(folder: Path, part: str, better: str, worse: str) -> Optional[Tuple[float, float, float]]:
    """By how much the perplexity is lower, with its interval over documents, paired."""
    ours, theirs = (windows(folder, part, name) for name in (better, worse))
    if ours is None or theirs is None:
        return None
    numbers = np.array(sorted(ours.keys() & theirs.keys()))
    apart = np.array([ours[number] - theirs[number] for number in numbers.tolist()])
    _, member = np.unique(documents_of(folder, numbers), return_inverse=True)
    sums, tokens = np.bincount(member, apart), WINDOW * np.bincount(member)
    picks = np.random.default_rng(0).integers(0, len(sums), (RESAMPLES, len(sums)))
    resampled = sums[picks].sum(axis=1) / tokens[picks].sum(axis=1)
    rates = [apart.sum() / tokens.sum(), *np.percentile(resampled, [2.5, 97.5])]
    found, low, high = (1 - math.exp(-rate) for rate in rates)
    return found, low, high


def verdict(gains: Sequence[Tuple[float, float, float]]) -> str:
    if all(low > 0 for _, low, _ in gains):
        return "found"
    return "overlapping" if mean(g for g, _, _ in gains) > 0 else "not found"


def claims_table(folders: Sequence[Path]) -> Table:
    rows = []
    for claim, paper, part, better, worse in CLAIMS:
        found = [gain(folder, part, better, worse) for folder in folders]
        gains = [each for each in found if each is not None]
        if not gains:
            rows.append([claim, paper, "not run", "–"])
            continue
        if claim in TURNED:
            gains = [(-g, -high, -low) for g, low, high in gains]
        words = "; ".join(percent(g, 1) + between((lo, hi), 1, 100) for g, lo, hi in gains)
        rows.append([claim, paper or "not asked", verdict(gains), words])
    note = (
        "found: above 0 for every seed, with its interval; overlapping: the mean is; not found: "
        "not even that. How far the perplexity is lower, of each seed, 95% intervals over "
        "documents, paired."
    )
    return Table(["claim", "the authors' figures", "here", "by"], rows, note)


def joint_table(folders: Sequence[Path]) -> Table:
    rows = []
    for name in ("generic", "soba"):
        for folder in folders:
            record = read(folder, "joint-results", name)
            if record is not None:
                bounds = (number(record[f"joint_ppl_{end}"]) for end in ("lower", "upper"))
                own = percent(record["gain"]) + between(record["gain_ci95"], 1, 100)
                rows.append([f"{name}, seed {folder.name}", number(record["base_ppl"]),
                             " to ".join(bounds), own])  # fmt: skip
    note = "An energy of set phrases and repetitions on specific windows, 32 of 64 tokens given."
    return Table(["base", "base alone", "joint", "gain of the upper bound"], rows, note)


def sections(runs: Path) -> List[Section]:
    folders = [runs / seed for seed in SEEDS if (runs / seed / BEFORE).exists()]
    if not folders:
        return [Section("Selection", [f"not run: {runs} has no seed"])]
    first = folders[0]
    made = [
        Section("The third paper's table 2, small", [losses_table(folders), costs_table(folders)]),
        Section("Its claims", [claims_table(folders)]),
        Section("A joint model on top", [joint_table(folders)]),
    ]
    others = {"What was chosen, seed 1": "log/log.json", "Will it work here?": "test/test.json",
              "What SOBA's network likes": "scores/soba/scores.json"}  # fmt: skip
    for title, name in others.items():
        if (first / name).exists():
            made.append(Section(title, items_of(read_json(first / name))))
    return made


def main(words: Optional[Sequence[str]] = None) -> None:
    title = "Choosing what a language model learns from, on two cores"
    page_of_runs(__doc__, title, sections, words)


if __name__ == "__main__":
    main()
