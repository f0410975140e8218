"""Four questions to an energy, and their answers in one report."""

from collections.abc import Sequence
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch

from ..data.tokenizers import Tokenizer, load_tokenizer
from ..detection.metrics import Scores
from ..detection.stores import chosen
from ..errors import OptionError, UserError
from ..files import sha256_of
from ..lm.checkpoint import LoadedLM, load_base_lm
from ..models.checkpoint import LoadedEnergy, load_energy
from ..negatives.store import MANIFEST_NAME, NegativesSubset
from ..options import Record
from ..progress import progress
from ..provenance import provenance
from . import attacks, perturbations, token_edits
from .attacks import WindowPairs
from .options import Weaknesses
from .perturbations import Judge, Places
from .units import UNITS, Unit, editable, stacked

Scored = Tuple[WindowPairs, Scores]
VISIBLE = (5, 10, 20, 40)


class Subject(NamedTuple):
    subset: NegativesSubset
    texts: WindowPairs
    tokenizer: Tokenizer
    energy: LoadedEnergy
    lm: Optional[LoadedLM]
    judges: Dict[str, Judge]
    # The threshold that the subset valid gives. None: it is not there, is the one looked at, or is
    # not told apart at all.
    calibrated: Optional[float]

    @property
    def threshold(self) -> float:
        return 0.0 if self.calibrated is None else self.calibrated


def _load(options: Weaknesses) -> Subject:
    neg, precision, device = options.neg, options.precision, options.device
    subset = NegativesSubset(neg, options.gen_subset)
    energy = load_energy(options.path, neg, precision, device)
    energy.require_window(subset.window, "--path")
    judges = {"energy": perturbations.energy_judge(energy.model)}
    lm = None
    if options.lm:
        lm = load_base_lm(options.lm, neg, precision, device, "--lm")
        lm.require_window(subset.window, "--lm")
        judges["nll"] = perturbations.nll_judge(lm)
    texts, _ = _texts(subset, judges["energy"], options)
    threshold = None
    if options.gen_subset != "valid" and "valid" in subset.manifest.subsets:
        _, valid = _texts(NegativesSubset(neg, "valid"), judges["energy"], options)
        threshold = attacks.best_threshold(valid)
    return Subject(subset, texts, load_tokenizer(neg), energy, lm, judges, threshold)


def _texts(subset: NegativesSubset, energy: Judge, options: Weaknesses) -> Scored:
    members = chosen(subset, options.max_windows, options.seed)
    texts = attacks.texts_of(subset, members)
    return texts, attacks.scores(texts, energy, members)


def weaknesses(options: Weaknesses) -> Record:
    subject = _load(options)
    lengths = _visible_lengths(subject, options.visible)
    texts, tokenizer, threshold = subject.texts, subject.tokenizer, subject.threshold
    energy, pad, seed = subject.judges["energy"], tokenizer.dictionary.pad(), options.seed
    attacked = attacks.attacked(texts, tokenizer, energy, options.share, threshold, seed)
    visible = attacks.by_visible_tokens(texts, lengths, energy, threshold, pad)
    origin = "zero" if subject.calibrated is None else "valid"
    no_edits = _why_no_edits(subject)
    return {
        "kind": "weaknesses",
        "num_windows": len(texts.real),
        "threshold": {"value": threshold, "from": origin},
        "perturbations": _perturbations(subject, options),
        "token_edits": {} if no_edits else _token_edits(subject, options),
        "no_edits": no_edits,
        "attacks": list(progress(attacked, "attacks", 3 + len(attacks.ATTACKS))),
        "visible_tokens": list(progress(visible, "visible tokens", len(lengths))),
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
    windows = unit.prepared(stacked([text.window for text in subject.texts.real]))
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


def _why_no_edits(subject: Subject) -> Optional[str]:
    try:
        subject.energy.model.token_embedding()
    except UserError as error:
        return str(error)
    return None


def _token_edits(subject: Subject, options: Weaknesses) -> Record:
    model, energy, nll = subject.energy.model, subject.judges["energy"], subject.judges.get("nll")
    allowed = editable(subject.tokenizer)
    editor = token_edits.Editor(model, energy, nll, allowed, options.edits, options.top_edits)
    answers: Record = {}
    for kind, texts, direction in zip(("real", "generated"), subject.texts, (1, -1)):
        bar = progress(texts, f"edits of {kind} text", len(texts))
        edited = [editor.edit(torch.from_numpy(text.window), text.part, direction) for text in bar]
        shown = edited[: token_edits.EXAMPLES]
        examples = [token_edits.example(text, subject.tokenizer) for text in shown]
        report = token_edits.report(edited, direction, subject.threshold)
        answers[kind] = {**report, "examples": examples}
    return answers


def _provenance(subject: Subject, options: Weaknesses) -> Record:
    manifest = subject.subset.manifest
    made_by = {"source": manifest.source, "sampler": manifest.sampler}
    negatives = {"manifest": sha256_of(options.neg / MANIFEST_NAME), **made_by}
    models = {"energy": subject.energy, "language_model": subject.lm}
    names = ("gen_subset", "max_windows", "positions", "edits", "top_edits", "share")
    return provenance(options, models, negatives=negatives, options=options.recorded(*names))
