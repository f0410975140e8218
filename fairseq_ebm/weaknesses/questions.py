"""Four questions to an energy, and their answers in one report."""

from collections.abc import Sequence
from typing import List, Tuple

import torch

from ..errors import OptionError
from ..files import sha256_of
from ..negatives.store import MANIFEST_NAME
from ..options import Record
from ..progress import progress
from ..provenance import provenance
from . import attacks, perturbations, token_edits
from .options import Weaknesses
from .perturbations import Places
from .subject import Subject, load
from .units import UNITS, Unit

VISIBLE = (5, 10, 20, 40)


def weaknesses(options: Weaknesses) -> Record:
    subject = load(options)
    visible = _visible_lengths(subject, options.visible)
    origin = "zero" if subject.calibrated is None else "valid"
    return {
        "kind": "weaknesses",
        "num_windows": len(subject.texts.real),
        "threshold": {"value": subject.threshold, "from": origin},
        "perturbations": _perturbations(subject, options),
        "token_edits": _token_edits(subject, options),
        "attacks": _attacks(subject, options),
        "visible_tokens": _visible_tokens(subject, visible),
        "provenance": _provenance(subject, options),
    }


def _visible_lengths(subject: Subject, asked: Sequence[int]) -> Tuple[int, ...]:
    """Those asked for, or as many of the usual ones as there are tokens; right to left none."""
    if subject.subset.manifest.right_to_left:
        if asked:
            raise OptionError("{visible}: not for text that was generated right to left; drop it")
        return ()
    longest = max(text.part.stop - text.part.start for text in subject.texts.real)
    if asked and max(asked) > longest:
        raise OptionError(f"{{visible}}: {max(asked)} tokens, but at most {longest} are generated")
    usual = {length for length in VISIBLE if length < longest} | {longest}
    return tuple(sorted(set(asked) or usual))


def _perturbations(subject: Subject, options: Weaknesses) -> Record:
    unit = UNITS[options.unit](subject.tokenizer)
    windows = unit.prepared(attacks.stacked([text.window for text in subject.texts.real]))
    put_in = perturbations.usual(unit, windows)
    for name in ("entity", "common"):
        if getattr(options, name):
            put_in[name] = unit.read(getattr(options, name), f"--{name}")
    if options.replaced:
        windows, places = _holding(unit, windows, options.replaced)
    else:
        positions = perturbations.spread(options.positions, subject.subset.window)
        places = perturbations.everywhere(positions, windows)
    before = {name: judge(windows) for name, judge in subject.judges.items()}
    found = perturbations.perturbed(windows, places, unit, put_in, subject.judges, before)
    rows = list(progress(found, "perturbations", len(places) * (len(put_in) + 1)))
    return {
        "unit": options.unit,
        "replaced": options.replaced,
        "num_windows": len(windows),
        "put_in": {name: unit.text(each) for name, each in put_in.items()},
        "baseline": {name: perturbations.mean(values) for name, values in before.items()},
        "summary": perturbations.summary(rows, list(subject.judges)),
        "rows": rows,
    }


def _holding(unit: Unit, windows: torch.Tensor, word: str) -> Tuple[torch.Tensor, List[Places]]:
    """The windows that have a word, and where each has it first."""
    wanted = unit.read(word, "--replaced")
    places = [unit.first_place(window, wanted) for window in windows]
    where = {i: place for i, place in enumerate(places) if place is not None}
    if not where:
        raise OptionError(f"{{replaced}}: '{word}' is in none of the {len(windows):,} windows")
    return windows[list(where)], [Places(None, list(where.values()))]


def _token_edits(subject: Subject, options: Weaknesses) -> Record:
    model, energy, nll = subject.energy.model, subject.judges["energy"], subject.judges.get("nll")
    allowed = token_edits.editable(subject.tokenizer.dictionary)
    editor = token_edits.Editor(model, energy, nll, allowed, options.edits, options.top_edits)
    answers: Record = {}
    for kind, texts, direction in zip(("real", "generated"), subject.texts, (1, -1)):
        bar = progress(texts, f"edits of {kind} text", len(texts))
        edited = [editor.edit(torch.from_numpy(text.window), text.part, direction) for text in bar]
        shown = edited[: token_edits.EXAMPLES]
        answers[kind] = {
            **token_edits.report(edited, direction, subject.threshold),
            "examples": [token_edits.example(text, subject.tokenizer) for text in shown],
        }
    return answers


def _attacks(subject: Subject, options: Weaknesses) -> List[Record]:
    texts, tokenizer, energy = subject.texts, subject.tokenizer, subject.judges["energy"]
    threshold, seed = subject.threshold, options.seed
    rows = attacks.attacked(texts, tokenizer, energy, options.share, threshold, seed)
    return list(progress(rows, "attacks", 2 + len(attacks.ATTACKS)))


def _visible_tokens(subject: Subject, lengths: Sequence[int]) -> List[Record]:
    padding = subject.tokenizer.dictionary.pad()
    energy, threshold = subject.judges["energy"], subject.threshold
    rows = attacks.by_visible_tokens(subject.texts, lengths, energy, threshold, padding)
    return list(progress(rows, "visible tokens", len(lengths)))


def _provenance(subject: Subject, options: Weaknesses) -> Record:
    manifest = subject.subset.manifest
    names = ("gen_subset", "max_windows", "positions", "edits", "top_edits", "share")
    return provenance(
        options,
        {"energy": subject.energy, "language_model": subject.lm},
        negatives={
            "manifest": sha256_of(options.neg / MANIFEST_NAME),
            "source": manifest.source,
            "sampler": manifest.sampler,
        },
        options=options.recorded(*names),
    )
