"""Whether a text looks real or generated to an energy, which of its tokens say so, and how little
of it must change until it looks otherwise."""

from collections.abc import Generator, Iterator
from random import Random
from typing import Any, List, Optional

import torch
from torch import Tensor

from ..errors import UserError
from ..lm.scoring import predictions, text_statistics
from ..options import Record
from ..records import finite
from ..weaknesses.attacks import ATTACKS
from ..weaknesses.perturbations import energy_judge
from ..weaknesses.token_edits import Editor
from ..weaknesses.units import editable
from .calibration import AtLength
from .options import Judge
from .subject import AT_ONCE, Subject

EDITS, TRIED = 3, 20
UNLIKE = {
    "less": "This is unlike the text that the models know, in another language or of another kind: "
    "the language model finds 99% of real windows likelier. The energy's word on it means little.",
    "more": "This is unlike the text that the models know: the language model finds 99% of real "
    "windows less likely, as if it repeated itself. The energy's word on it means little.",
}
UNKNOWN = 0.05  # of the tokens, which the vocabulary does not know


def judge(subject: Subject, asked: Judge) -> Iterator[Record]:
    whole = subject.tokens(asked.text, "Text")
    if not len(whole):
        raise UserError("Text: there is nothing in it")
    text = whole[: _window(subject)]
    statistics = text_statistics(subject.models.lm.model, text[None], 0)
    energy, log_p = _energy(subject, text), statistics.log_p[0]
    yield {
        "event": "begin",
        "tokens": [
            {"text": piece, "log_p": value, "rank": round(rank)}
            for piece, value, rank in zip(
                subject.pieces(text), log_p.tolist(), statistics.log_rank[0].exp().tolist()
            )
        ],
        "energy": finite(energy),
        "rest": subject.words(text)(whole[len(text) :].tolist()),
    }
    known = yield from _known_at(subject, len(text))
    warnings = list(_warnings(subject, text, whole))
    unlike = known and known.unlike(-float(log_p.mean()))
    if unlike:
        warnings.append(UNLIKE[unlike])
    yield {"event": "verdict", "warnings": warnings, **(known.record(energy) if known else {})}
    yield from _changes(subject, text, energy)
    yield from _edits(subject, text, energy, known)
    yield from _attacks(subject, asked, text, energy)
    yield {"event": "end"}


def _known_at(subject: Subject, length: int) -> Generator[Record, None, Optional[AtLength]]:
    """What there is to compare so many tokens with."""
    calibration = subject.calibration
    if calibration is None or length <= calibration.prefix_length:
        return None
    steps = calibration.at(length)
    while True:
        try:
            done, of = next(steps)
        except StopIteration as stop:
            found: AtLength = stop.value
            return found
        yield {"event": "calibrating", "done": done, "of": of}


def _window(subject: Subject) -> int:
    calibration = subject.calibration
    return subject.window if calibration is None else min(subject.window, calibration.window)


def _energy(subject: Subject, text: Tensor) -> float:
    return float(subject.joint.energies(text.view(1, 1, -1), 0))


def _warnings(subject: Subject, text: Tensor, whole: Tensor) -> Iterator[str]:
    window, calibration = _window(subject), subject.calibration
    if len(whole) > window:
        yield f"Only the first {window} of {len(whole)} tokens are judged: it reads no more."
    if len(text) < window:
        rest = "" if calibration is None else "; what it is compared with is cut as short"
        trained = subject.models.window
        yield f"{len(text)} tokens are few: the energy was trained on {trained}{rest}."
    if calibration is None:
        yield "Without --store there is nothing to compare the energy with."
    elif len(text) <= calibration.prefix_length:
        shared = f"the first {calibration.prefix_length} tokens of what it could be compared with"
        yield f"Too short to judge: {shared} are real text always."
    unknown = (text == subject.tokenizer.dictionary.unk()).double().mean()
    if unknown > UNKNOWN:
        yield f"{float(unknown):.0%} of the tokens are unknown to the vocabulary."


def _changes(subject: Subject, text: Tensor, energy: float) -> Iterator[Record]:
    """By how much the energy changes where a token gives way to what the language model finds
    likeliest in its place, itself apart."""
    model = subject.models.lm.model
    with torch.inference_mode():
        parts = [_likeliest_others(*part, model) for part in predictions(model, text[None], 0)]
    others = torch.cat(parts)
    rows = text.repeat(len(text), 1)
    rows.fill_diagonal_(0)
    rows = rows + torch.diag(others)
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        energies = subject.joint.energies(part.unsqueeze(0), 0)[0]
        symbols = others[start : start + AT_ONCE].tolist()
        yield {
            "event": "changes",
            "first": start,
            "changes": [finite(e - energy) for e in energies.tolist()],
            "others": [subject.name(symbol) for symbol in symbols],
        }


def _likeliest_others(log_probs: Tensor, tokens: Tensor, model: Any) -> Tensor:
    """(A, V), (A, 1) -> (A,)"""
    rest = log_probs.scatter(1, tokens, -torch.inf)
    rest[:, model.decoder.dictionary.pad()] = -torch.inf
    return rest.argmax(dim=1).cpu()


def _edits(
    subject: Subject, text: Tensor, energy: float, known: Optional[AtLength]
) -> Iterator[Record]:
    """The best edits, which push over the line, by the energy's gradients."""
    energies = subject.models.energies
    direction = -1 if known and known.looks(energy) == "generated" else 1
    if not subject.models.formula.is_plain:
        yield {"event": "edits", "why_not": "several models judge: no single one has gradients"}
        return
    model = energies[0].model
    try:
        model.token_embedding()
    except UserError as error:
        yield {"event": "edits", "why_not": str(error)}
        return
    editor = Editor(model, energy_judge(model), None, editable(subject.tokenizer), EDITS, TRIED)
    found = editor.edit(text, slice(0, len(text)), direction)
    rows: List[Record] = [
        {
            "position": edit.position,
            "before": subject.name(edit.before),
            "after": subject.name(edit.after),
            **_seen(edit.energy, known),
        }
        for edit in found.edits
    ]
    yield {"event": "edits", "towards": "real" if direction < 0 else "generated", "rows": rows}


def _attacks(subject: Subject, asked: Judge, text: Tensor, energy: float) -> Iterator[Record]:
    """On the text that was judged; what gets longer loses its end."""
    words = subject.tokenizer.decode(text.tolist())
    for name, attack in ATTACKS.items():
        changed = attack(words, asked.share / 100, Random(f"{asked.seed}/{name}"))
        tokens = subject.tokens(changed, "Text")[: len(text)]
        is_same = changed == words or not len(tokens)
        known = yield from _known_at(subject, len(text) if is_same else len(tokens))
        after = energy if is_same else _energy(subject, tokens)
        yield {"event": "attack", "name": name, "is_same": is_same, **_seen(after, known)}


def _seen(energy: float, known: Optional[AtLength]) -> Record:
    """``looks``: None if there is nothing to go by."""
    if known is None:
        return {"energy": finite(energy), "probability": None, "looks": None}
    probability, looks = known.probability(energy), known.looks(energy)
    return {"energy": finite(energy), "probability": probability, "looks": looks}
