"""fairseq-ebm-weaknesses: what moves an energy's verdict, and how much text it needs."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch

from ..errors import UserError
from ..files import sha256_of
from ..negatives.store import MANIFEST_NAME
from ..records import write_json
from ..version import __version__
from ..weaknesses import attacks, perturbations, token_edits
from ..weaknesses.perturbations import Places
from ..weaknesses.subject import Subject, load
from ..weaknesses.units import UNITS, Unit
from . import processes
from .program import ArgumentParser, progress, run, whole_number

DESCRIPTION = """\
Four questions to an energy that tells real text from generated: what does one changed
word or token do to it, by its place? How few tokens, chosen by its own gradients, turn
its verdict, and what does each of them do alone? What do attacks on the text do that
need no model? How many generated tokens must it see?

  fairseq-ebm-weaknesses NEG --path energy.pt --results-path OUT.json --draw
  fairseq-ebm-weaknesses NEG --path energy.pt --lm lm.pt --unit word --entity John --common the

The threshold of its verdict is that of the best balanced accuracy on the subset valid
(0 if NEG has none, or where that is the subset looked at).
"""

VISIBLE = (5, 10, 20, 40)
PICTURES = "perturbations, edits, singles (with --lm), attacks, visible"


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-weaknesses", description=DESCRIPTION)
    parser.add_argument("neg", metavar="NEG", help="store of negatives")
    parser.add_argument("--path", required=True, metavar="ENERGY.pt", help="checkpoint")
    parser.add_argument("--lm", metavar="LM.pt", help="a language model that judges beside it")
    parser.add_argument("--gen-subset", default="test", help="subset (default: test)")
    parser.add_argument(
        "--max-windows",
        type=whole_number(2),
        default=200,
        metavar="N",
        help="windows at most, at random; of each, the first negative (default: 200)",
    )
    parser.add_argument("--seed", type=whole_number(0), default=1, help="(default: 1)")
    questions = parser.add_argument_group("questions")
    questions.add_argument(
        "--positions",
        type=whole_number(1),
        default=16,
        metavar="N",
        help="of a window where something is changed, evenly spaced tokens (default: 16)",
    )
    questions.add_argument(
        "--unit",
        choices=UNITS,
        default="token",
        help="what is changed there: the token, or the whole word it belongs to (default: token)",
    )
    questions.add_argument(
        "--entity",
        metavar="WORD",
        help="a name to put in there (default: the most frequent that looks like one)",
    )
    questions.add_argument(
        "--common",
        metavar="WORD",
        help="a common word to put in there (default: the most frequent)",
    )
    questions.add_argument(
        "--replaced",
        metavar="WORD",
        help="change this word, the first in each window that has it, instead of what stands "
        "at --positions",
    )
    questions.add_argument(
        "--edits", type=whole_number(1), default=5, help="tokens edited of a text (default: 5)"
    )
    questions.add_argument(
        "--top-edits",
        type=whole_number(1),
        default=20,
        metavar="M",
        help="edits whose true effect is compared with the predicted one (default: 20)",
    )
    questions.add_argument(
        "--share", type=share, default=0.5, help="of places that an attack changes (default: 0.5)"
    )
    questions.add_argument(
        "--visible",
        type=lengths,
        metavar="L,L,…",
        help="generated tokens that are seen (default: 5,10,20,40 and all)",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--results-path", metavar="OUT.json", help="write the report there")
    output.add_argument(
        "--draw", action="store_true", help=f"draw OUT.NAME.svg, of the names {PICTURES}"
    )
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    processes.add_precision_flags(parser.add_argument_group("machine"))
    return parser


def share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share from 0 to 1")
    return value


def lengths(text: str) -> Tuple[int, ...]:
    try:
        values = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        values = (0,)
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not numbers from 1 with commas")
    return values


def weaknesses(arguments: argparse.Namespace) -> None:
    out = Path(arguments.results_path) if arguments.results_path else None
    if arguments.draw and out is None:
        raise UserError("--results-path: needed with --draw")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    subject = load(arguments)
    visible = visible_lengths(subject, arguments.visible)
    report = {
        "num_windows": len(subject.texts.real),
        "threshold": {
            "value": subject.threshold,
            "from": "valid" if subject.calibrated else "zero",
        },
        "perturbations": ask_perturbations(subject, arguments),
        "token_edits": ask_token_edits(subject, arguments),
        "attacks": ask_attacks(subject, arguments),
        "visible_tokens": ask_visible(subject, visible, arguments),
        "provenance": provenance(subject, arguments),
    }
    if out is not None:
        write_json(report, out)
    from ..reports.weaknesses import draw, table  # noqa: PLC0415 (takes a second)

    if not arguments.quiet:
        print(table(report))
    if arguments.draw:
        for picture in draw(report, out):
            if not arguments.quiet:
                print(f"drawn: {picture}")


def visible_lengths(subject: Subject, asked: Optional[Sequence[int]]) -> Tuple[int, ...]:
    """Those of --visible, or as many of the usual ones as there are tokens; right to left none."""
    if subject.subset.manifest.right_to_left:
        if asked:
            raise UserError("--visible: not for text that was generated right to left; drop it")
        return ()
    longest = max(text.part.stop - text.part.start for text in subject.texts.real)
    if asked and asked[-1] > longest:
        raise UserError(f"--visible: {asked[-1]} tokens, but at most {longest} are generated")
    return tuple(asked or sorted({length for length in VISIBLE if length < longest} | {longest}))


def ask_perturbations(subject: Subject, arguments: argparse.Namespace) -> Dict[str, Any]:
    unit = UNITS[arguments.unit](subject.tokenizer)
    windows = unit.prepared(attacks.stacked([text.window for text in subject.texts.real]))
    put_in = perturbations.usual(unit, windows)
    for name in ("entity", "common"):
        if getattr(arguments, name):
            put_in[name] = unit.read(getattr(arguments, name), f"--{name}")
    if arguments.replaced:
        windows, places = holding(unit, windows, arguments.replaced)
    else:
        positions = perturbations.spread(arguments.positions, subject.subset.window)
        places = perturbations.everywhere(positions, windows)
    before = {name: judge(windows) for name, judge in subject.judges.items()}
    found = perturbations.perturbed(windows, places, unit, put_in, subject.judges, before)
    total = len(places) * (len(put_in) + 1)
    return {
        "unit": arguments.unit,
        "replaced": arguments.replaced,
        "num_windows": len(windows),
        "put_in": {name: unit.text(each) for name, each in put_in.items()},
        "baseline": {name: perturbations.mean(values) for name, values in before.items()},
        "rows": list(progress(found, "perturbations", total, arguments.quiet)),
    }


def holding(unit: Unit, windows: torch.Tensor, word: str) -> Tuple[torch.Tensor, List[Places]]:
    """The windows that have a word, and where it first stands in each."""
    wanted = unit.read(word, "--replaced")
    where = [unit.first_place(window, wanted) for window in windows]
    some = [place is not None for place in where]
    if not any(some):
        raise UserError(f"--replaced: '{word}' stands in none of the {len(windows):,} windows")
    return windows[torch.tensor(some)], [Places(None, [p for p in where if p is not None])]


def ask_token_edits(subject: Subject, arguments: argparse.Namespace) -> Dict[str, Any]:
    editor = token_edits.Editor(
        model=subject.energy.model,
        energy=subject.judges["energy"],
        nll=subject.judges.get("nll"),
        allowed=token_edits.editable(subject.tokenizer.dictionary),
        edits=arguments.edits,
        top=arguments.top_edits,
    )
    kinds = {"real": (subject.texts.real, 1), "generated": (subject.texts.generated, -1)}
    found: Dict[str, Any] = {}
    for kind, (texts, direction) in kinds.items():
        bar = progress(texts, f"edits of {kind} text", len(texts), arguments.quiet)
        edited = [editor.edit(torch.from_numpy(text.window), text.part, direction) for text in bar]
        examples = [
            token_edits.example(text, subject.tokenizer) for text in edited[: token_edits.EXAMPLES]
        ]
        report = token_edits.report(edited, direction, subject.threshold)
        found[kind] = {**report, "examples": examples}
    return found


def ask_attacks(subject: Subject, arguments: argparse.Namespace) -> List[Dict[str, Any]]:
    found = attacks.attacked(
        subject.texts,
        subject.tokenizer,
        subject.judges["energy"],
        arguments.share,
        subject.threshold,
        arguments.seed,
    )
    return list(progress(found, "attacks", 2 + len(attacks.ATTACKS), arguments.quiet))


def ask_visible(
    subject: Subject, visible: Sequence[int], arguments: argparse.Namespace
) -> List[Dict[str, Any]]:
    padding = subject.tokenizer.dictionary.pad()
    found: Iterable[Dict[str, Any]] = attacks.by_visible_tokens(
        subject.texts, visible, subject.judges["energy"], subject.threshold, padding
    )
    return list(progress(found, "visible tokens", len(visible), arguments.quiet))


def provenance(subject: Subject, arguments: argparse.Namespace) -> Dict[str, Any]:
    models: Dict[str, Any] = {"energy": subject.energy, "language_model": subject.lm}
    manifest = subject.subset.manifest
    options = ("gen_subset", "max_windows", "positions", "edits", "top_edits", "share")
    return {
        **{
            name: {"sha256": model.sha256, "architecture": model.architecture}
            for name, model in models.items()
            if model is not None
        },
        "negatives": {
            "manifest": sha256_of(Path(arguments.neg) / MANIFEST_NAME),
            "source": manifest.source,
            "sampler": manifest.sampler,
        },
        "options": {name: getattr(arguments, name) for name in options},
        "precision": subject.energy.precision,
        "seed": arguments.seed,
        "versions": {"fairseq_ebm": __version__, "torch": torch.__version__},
    }


def main() -> None:
    run(build_parser(), weaknesses)


if __name__ == "__main__":
    main()
