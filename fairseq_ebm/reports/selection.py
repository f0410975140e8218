"""What a language model learnt from, and what it was worth. The third paper's table 2, figure 1."""

from collections.abc import Iterator
from typing import Any, List, Tuple

from matplotlib.figure import Figure

from ..options import Record
from .figures import BLUE, GREY, NAVY, ORANGE, describe
from .page import Item, Named, Table, between, number, one_line, percent

COLOURS = (NAVY, BLUE, ORANGE, GREY, "#5b8f3a", "#8a5fb0", "#b08a2f", "#3aa6a0")
DASHES = ("-", "--")
SHARE = "share of each source in what was chosen, over time"
LOSS = "loss on {}, in nats a token, against seconds of training"
END = "shares, effective examples and concentration of the last tenth of the updates"
SHOWN = 300  # characters of an example


def chosen(named: Named) -> Iterator[Item]:
    runs: List[Record] = named.record["runs"]
    sources = list(dict.fromkeys(source for run in runs for source in run["share"]))
    subsets = list(dict.fromkeys(subset for run in runs for subset in run["valid"]))
    heads = ["system", *(f"loss, {subset}" for subset in subsets)]
    heads += [f"from {source}" for source in sources]
    heads += ["examples", "distinct", "effective", "concentration", "updates/s", "selecting"]
    rows = [_row(run, sources, subsets) for run in runs]
    yield Table(heads, rows, named.says(f"the last losses of validation; {END}."))
    if sources:
        several = [run for run in runs if run["share"]]
        yield named.picture("shares", SHARE, _draw_shares, several, sources, panels=len(sources))
    timed = [subset for subset in subsets if any(len(r["valid"].get(subset, [])) > 1 for r in runs)]
    for subset in timed:
        yield named.picture(f"loss-{subset}", LOSS.format(subset), _draw_losses, runs, subset)


def _row(run: Record, sources: List[str], subsets: List[str]) -> List[str]:
    losses = ([point["loss"] for point in run["valid"].get(subset, [])] for subset in subsets)
    return [
        run["name"],
        *(number(each[-1] if each else None, 3) for each in losses),
        *(percent(run["share"].get(source)) for source in sources),
        f"{run['chosen']:,}",
        f"{run['distinct']:,}",
        number(run["effective"], 1),
        number(run["concentration"], 3),
        number(run["updates_per_second"], 2),
        percent(run["selecting"], 0),
    ]


def _styles(count: int) -> List[Tuple[str, str]]:
    return [
        (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]) for i in range(count)
    ]


def _draw_shares(runs: List[Record], sources: List[str], figure: Figure) -> None:
    """A panel for each source."""
    for axes, source in zip(figure.subplots(len(sources), squeeze=False)[:, 0], sources):
        for run, (colour, dash) in zip(runs, _styles(len(runs))):
            points = [(each["update"], each.get(source, 0.0)) for each in run["over_time"]]
            axes.plot(*zip(*points), color=colour, linestyle=dash, label=run["name"], linewidth=1)
        describe(axes, percent=True, title=f"from {source}", xlabel="update", ylabel="share")
        axes.set_ylim(bottom=0)
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper center", ncols=4, fontsize="small")


def _draw_losses(runs: List[Record], subset: str, figure: Figure) -> None:
    axes: Any = figure.subplots()
    for run, (colour, dash) in zip(runs, _styles(len(runs))):
        points = [(each["seconds"], each["loss"]) for each in run["valid"].get(subset, [])]
        if points:
            axes.plot(*zip(*points), color=colour, linestyle=dash, label=run["name"], marker=".")
    describe(axes, title=subset, xlabel="seconds of training", ylabel="nats a token")
    axes.legend(fontsize="small")


def scores(named: Named) -> Iterator[Item]:
    record = named.record
    spread = f"5% {number(record['low'])}, median {number(record['median'])}"
    words = f"{record['examples']:,} examples; {spread}, 95% {number(record['high'])}"
    yield named.says(f"scores by {', '.join(record['by'])}: {words}; higher is better")
    yield from _sources(record, "of the best tenth")
    for end in ("highest", "lowest"):
        rows = [[number(e["score"]), one_line(e["text"][:SHOWN])] for e in record[end]]
        yield Table(["score", "text"], rows, f"the {end} scores")


def _sources(record: Record, best: str) -> Iterator[Item]:
    if "sources" in record:
        rows = [
            [name, percent(each["share"]), percent(each["of_best"])]
            for name, each in record["sources"].items()
        ]
        yield Table(["source", "of all", best], rows)


def stability(named: Named) -> Iterator[Item]:
    record, rows = named.record, []
    for kind, words in (("halves", "two halves of the specific text"), ("checkpoints", "")):
        for each in record[kind]:
            what = words or f"the checkpoint before, {each['path']}"
            rows.append([f"{what}, at {each.get('and', each['path'])}", *_agreement(each)])
    heads = ["ranks compared with those by", "correlation", "best tenth shared", "by chance"]
    counts = f"{record['examples']:,} generic and {record['specific_examples']:,} specific examples"
    yield Table(heads, rows, named.says(f"{counts}; 95% intervals over examples."))
    yield from _sources(record, "of the most helpful tenth")
    yield named.says(_verdict(record))


def _agreement(each: Record) -> List[str]:
    interval = between(each["correlation_ci95"], 3)
    shared = (percent(each[name], 0) for name in ("best_shared", "best_by_chance"))
    return [number(each["correlation"], 3) + interval, *shared]


def _verdict(record: Record) -> str:
    """By what is known of ranks at the last checkpoint, and how long they hold."""
    last = record["halves"][-1]
    if last["correlation_ci95"][0] <= 0:
        return (
            "the two halves of the specific text do not agree on what helps: there is nothing "
            "here for selection to learn, or more specific text is needed to see it"
        )
    held = [each["correlation_ci95"][0] > 0 for each in record["checkpoints"]]
    words = "the two halves of the specific text agree on what helps"
    if held and not all(held):
        return f"{words}, but not one checkpoint with the next: what helps changes in training"
    return f"{words}" + (", and one checkpoint with the next" if held else "")


def kept(named: Named) -> Iterator[Item]:
    record = named.record
    words = f"kept {record['kept']:,} of {record['examples']:,} examples of {record['split']}"
    yield named.says(f"{words}, {record['tokens']:,} tokens, in {record.get('dest', '')}")
    if record.get("share"):
        rows = [[name, percent(share)] for name, share in record["share"].items()]
        yield Table(["source", "of what was kept"], rows)
