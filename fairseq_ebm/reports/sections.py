"""Records of our programs → the sections of a report. Each kind of record is known by what it has;
``paper``: what the papers found in the same setting, by record and entry."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..errors import UserError
from ..evaluation.uncertainty import in_words
from . import detection, generation, perplexity, weaknesses
from .matrix import windows_of
from .next_token import top_tokens
from .page import Item, Picture, Sample, Section, Table, between, number, percent

Record = Mapping[str, Any]
Paper = Mapping[str, Mapping[str, str]]
TOP = 10  # candidates in the table of next tokens


class Named(NamedTuple):
    name: str
    record: Record


def sections(records: Sequence[Named], paper: Paper) -> List[Section]:
    found = [make([r for r in records if key in r.record], paper) for key, make in KINDS.items()]
    return [section for section in found if section is not None]


def _perplexities(records: Sequence[Named], paper: Paper) -> Optional[Section]:
    """P1 table 1, figures 1 and 2 left."""
    if not records:
        return None
    rows = []
    for name, r in records:
        joint = joint_of(r)
        ends = (number(r.get(f"joint_ppl_{bound}")) for bound in ("lower", "upper"))
        bounds = " to ".join(ends) if joint else "–"
        rows.append(
            [
                name,
                number(r["base_ppl"]) + between(r["base_ppl_ci95"]),
                bounds + between(_outer(r)),
                number(r.get("joint_ppl")) + between(r.get("joint_ppl_sampling_ci95")),
                percent(r.get("gain"), 2) + between(r.get("gain_ci95"), 2, 100),
                f"{r['num_windows']:,} × {r['num_samples']:,}"
                if joint
                else f"{r['num_windows']:,}",
                number(r["ess"]["mean"], 1) if joint else "–",
            ]
        )
    heads = ["record", "language model", "joint model, bounds", "joint model, of sampling alone"]
    heads += ["gain of the upper bound", "windows × samples", "effective samples"]
    with_paper(heads, rows, records, paper, "joint_ppl")
    note = "Perplexities of the continuations of windows, with 95% intervals: over windows, which "
    note += "holds the luck of sampling too; or of sampling alone, for these windows."
    items: List[Item] = [Table(heads, rows, note), *_baselines(records)]
    for name, r in records:
        items += [f"{name}: {in_words(r['error'])}."] if joint_of(r) else []
        items += [f"{name}: {warning}" for warning in r.get("warnings", [])]
        if "last_position" in r:
            items.append(_last(name, r["last_position"]))
        items += [
            Picture(figure, f"{name}: {PICTURES[kind]}") for kind, figure in perplexity.pictures(r)
        ]
    return Section("Perplexity", items)


def joint_of(record: Record) -> bool:
    return "joint_ppl" in record


def _outer(record: Record) -> Optional[Tuple[float, float]]:
    """From where the interval of the lower bound begins to where that of the upper one ends."""
    low, high = (record.get(f"joint_ppl_{bound}_ci95") for bound in ("lower", "upper"))
    return low and high and (low[0], high[1])


def _baselines(records: Sequence[Named]) -> Iterator[Table]:
    rows = [
        [
            f"{name}, upper bound" if "joint_ppl" in r else name,
            f"{other['name']}, {other['ppl']:,.2f}",
            percent(other["gain"], 2) + between(other["gain_ci95"], 2, 100),
        ]
        for name, r in records
        for other in r.get("baselines", [])
    ]
    if rows:
        note = "Compared window by window; below 0 where the other one is better."
        yield Table(["record", "against", "its perplexity is below that by"], rows, note)


PICTURES = {
    "curve": "bounds on the joint perplexity against the number of samples of each window",
    "positions": "how far the joint perplexity is below the base model's, at every position",
    "ngrams": "distinct n-grams of real text, of the base model's and of the joint model's",
    "densities": "log-probability of each model's own text and of real text",
}


def _last(name: str, last: Record) -> str:
    return (
        f"{name}: at the last position the joint perplexity is {last['exact']:.3f} exactly; "
        f"samples say {number(last['joint'], 3)}{between(last['sampling_ci95'], 3)}, the base "
        f"model has {last['base_ppl']:.3f}."
    )


def with_paper(
    heads: List[str], rows: List[List[str]], records: Sequence[Named], paper: Paper, entry: str
) -> None:
    """Adds a column with what the papers found, if they did for any of the records."""
    theirs = [paper.get(name, {}).get(entry, "") for name, _ in records]
    if any(theirs):
        heads.append("paper")
        for row, cell in zip(rows, theirs):
            row.append(cell)


def _next_tokens(records: Sequence[Named], paper: Paper) -> Optional[Section]:
    """P1 table 3."""
    items: List[Item] = [top_tokens(name, r, TOP) for name, r in records]
    return Section("The next token", items) if items else None


def _generations(records: Sequence[Named], paper: Paper) -> Optional[Section]:
    """P1 figures 2 right and 3."""
    items: List[Item] = []
    for name, r in records:
        rows = [
            [f"{row['n']}-grams", *(percent(row[kind], 2) for kind in ("real", "base", "joint"))]
            for row in r["unique_ngrams"]
        ]
        note = f"{name}: distinct n-grams, of all, in {r['num_prompts']:,} continuations each."
        items.append(Table(["", "real", "base LM", "joint"], rows, note))
        if r["densities"] is not None:
            items.append(_densities(name, r["densities"]))
        items += [
            Picture(figure, f"{name}: {PICTURES[kind]}") for kind, figure in generation.pictures(r)
        ]
    return Section("What the models write", items) if items else None


def _densities(name: str, densities: Mapping[str, Any]) -> Table:
    rows = [
        [words, number(d["difference"]) + spread(d["standard_error"])]
        for words, d in (("base LM", densities["base"]), ("joint model", densities["joint"]))
    ]
    note = f"{name}: mean log-probability of a model's own text above that of real text, nats; "
    note += "standard error in brackets. The papers found 21.64 and 6.20 in their setting."
    return Table(["", "own text − real text"], rows, note)


def spread(error: Optional[float]) -> str:
    return "" if error is None else f" ({error:.2f})"


def _detection(records: Sequence[Named], paper: Paper) -> Optional[Section]:
    """P2 tables 2 and 5, figure 3."""
    items: List[Item] = []
    keys = ("accuracy", "accuracy_natural", "p_at_1", "auroc", "tpr_at_fpr_5")
    for name, r in records:
        inputs = list(dict.fromkeys(row["input"] for row in r["rows"]))
        rows = [
            [
                row["scorer"] if len(inputs) == 1 else f"{row['scorer']}, {row['input']}",
                *(percent(row[key]) + between(row[f"{key}_ci95"], 1, 100) for key in keys),
            ]
            for row in r["rows"]
        ]
        heads = ["score", "accuracy", "at energy 0", "P@1", "AUROC", "found at 5% false alarms"]
        counts = sorted({(row["n_real"], row["n_fake"]) for row in r["rows"]})
        texts = " or ".join(f"{real:,} real and {fake:,} generated" for real, fake in counts)
        note = f"{name}: {texts} texts; thresholds from others; 95% intervals."
        theirs = paper.get(name, {})
        if theirs:
            require_rows(name, theirs, [row["scorer"] for row in r["rows"]])
            heads = [*heads, "paper, accuracy"]
            for i, row in enumerate(r["rows"]):
                rows[i].append(theirs.get(row["scorer"], ""))
        items.append(Table(heads, rows, note))
        for kind, figure in detection.pictures(r):
            items.append(Picture(figure, f"{name}: {detection.PICTURES[kind]}"))
    return Section("Telling generated text from real", items) if items else None


def require_rows(name: str, theirs: Mapping[str, str], scorers: Sequence[str]) -> None:
    """A published figure stands in the row of its own scorer, or it would be lost unseen."""
    for scorer in theirs:
        if scorer not in scorers:
            there = ", ".join(dict.fromkeys(scorers))
            raise UserError(f"--paper: {name}: no row {scorer} in that record; it has {there}")


def _matrix(records: Sequence[Named], paper: Paper) -> Optional[Section]:
    """P2 tables 2, 3, 4 and 7."""
    items: List[Item] = []
    for name, r in records:
        for title, rows in r["tables"].items():
            heads = list(next(iter(rows.values())))
            cells = [
                [
                    label,
                    *(
                        percent(row[head]["accuracy"]) + between(row[head]["accuracy_ci95"], 1, 100)
                        for head in heads
                    ),
                ]
                for label, row in rows.items()
            ]
            note = f"{name}: {title}. Accuracy, {windows_of(rows)} real windows."
            items.append(Table(["", *heads], cells, note))
        found = [
            [f["claim"], f["verdict"], "; ".join(f"{a:.1%} > {b:.1%}" for a, b in f["pairs"])]
            for f in r["findings"]
        ]
        if found:
            items.append(Table(["claim of the paper", "here", "higher > lower"], found))
    return Section("How far detection generalises", items) if items else None


def _weaknesses(records: Sequence[Named], paper: Paper) -> Optional[Section]:
    """P2 figures 1 and 2, appendix F."""
    items: List[Item] = []
    for name, r in records:
        rows = [
            [
                row["attack"],
                *(percent(row[key]) for key in ("accuracy", "found", "auroc", "changed")),
            ]
            for row in r["attacks"]
        ]
        heads = ["attack on generated text", "accuracy", "found", "AUROC", "windows changed"]
        items.append(Table(heads, rows, f"{name}: {r['num_windows']:,} windows of each kind."))
        rows = [
            [kind, *(percent(part[key]) for key in ("flipped", "sign_agreement"))]
            for kind, part in r["token_edits"].items()
        ]
        heads = ["tokens edited by gradients", "verdicts flipped", "first order has the sign"]
        items.append(Table(heads, rows, f"{name}: at most {edits_of(r)} tokens of each text."))
        for kind, figure in weaknesses.pictures(r):
            items.append(Picture(figure, f"{name}: {weaknesses.PICTURES[kind]}"))
    return Section("What fools an energy", items) if items else None


def edits_of(record: Record) -> int:
    return max(len(part["by_edits"]) - 1 for part in record["token_edits"].values())


def samples(name: str, prompts: Sequence[Record]) -> Section:
    """Of lines of fairseq-generate --joint-results-path: text side by side, with energies."""
    items: List[Item] = []
    for record in prompts:
        pool, draw = record["pools"][0], record["draws"][0]
        base = record["base_text"]
        texts = [
            ("base LM", base, judged(pool["energies"][0], pool["log_p"][0])),
            ("joint model", draw["text"], judged(draw["energy"], draw["log_p"])),
        ]
        if "real" in record:
            real = record["real"]
            texts.append(("real", real["text"], judged(real["energy"], real["log_p"])))
        items.append(Sample(record["prompt"], texts))
    return Section(f"Samples side by side ({name})", items)


def judged(energy: Optional[float], log_p: float) -> str:
    return f"energy {number(energy)}, log P of the base LM {log_p:.1f}"


# what a record has -> its section; in the order of the report
KINDS: Dict[str, Callable[[Sequence[Named], Paper], Optional[Section]]] = {
    "base_ppl": _perplexities,
    "candidates": _next_tokens,
    "unique_ngrams": _generations,
    "rows": _detection,
    "tables": _matrix,
    "perturbations": _weaknesses,
}
