"""Scorers and texts into a report: how well each tells generated text from real."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from ..data.json_lines import Bad, read_texts
from ..data.tokenizers import DICTIONARY_NAME, Tokenizer, load_tokenizer, require_same_dictionary
from ..errors import UserError
from ..files import sha256_of
from ..lm.checkpoint import LoadedLM, load_base_lm
from ..models.checkpoint import WINDOW, LoadedEnergy, load_energy
from ..negatives.jsonl import require_known_texts
from ..negatives.store import NegativesSubset, read_manifest
from ..options import Record
from ..progress import progress
from ..provenance import provenance
from .metrics import Scores, Thresholds, row, row_by_prefix_length, thresholds
from .options import VALID, Discriminate
from .scorers import EnergyScorer, LanguageModelScorer, Scorer
from .stores import batches, chosen, score_windows
from .tfidf import TfIdf, TfIdfScorer, labelled, labelled_texts
from .whole_texts import BlockOptions, Reader, TextScores, score_texts

KIND = "detection"
ENERGY = "energy"  # the name of its scores


class LoadedModels(NamedTuple):
    energy: Optional[LoadedEnergy]
    lm: Optional[LoadedLM]

    @property
    def window(self) -> int:
        """Tokens of a text's block: what the energy was trained on, or as many as fit."""
        if self.energy is not None:
            return self.energy.window
        return min(WINDOW, self.lm.max_positions) if self.lm else WINDOW

    def require_window(self, window: int) -> None:
        for flag, model in (("--path", self.energy), ("--lm", self.lm)):
            if model is not None:
                model.require_window(window, flag)


def discriminate(options: Discriminate) -> Record:
    judged = _judge_files if options.real else _judge_stores
    return {"kind": KIND, **judged(options)}


def _load(options: Discriminate, data: Path) -> LoadedModels:
    precision, device = options.precision, options.device
    energy, lm = None, None
    if options.path is not None:
        energy = load_energy(options.path, data, precision, device)
    if options.lm is not None:
        lm = load_base_lm(options.lm, data, precision, device, "--lm")
    return LoadedModels(energy, lm)


def _scorers(models: LoadedModels, options: Discriminate) -> List[Scorer]:
    scorers: List[Scorer] = []
    if models.energy is not None:
        probability = options.mean_of == "probability" and options.real is not None
        draws_one = models.energy.criterion == "conditional_nce"
        line = (0.5 if probability else 0.0) if draws_one else None
        scorers.append(EnergyScorer(models.energy.model, probability, line))
    if models.lm is not None:
        scorers.append(LanguageModelScorer(models.lm.model, models.lm.right_to_left))
    return scorers


def natural_threshold(name: str, scorers: Sequence[Scorer]) -> Optional[float]:
    """Conditional NCE draws a line of its own; the papers' accuracies go by it."""
    own = [s.threshold for s in scorers if isinstance(s, EnergyScorer) and name in s.names]
    return own[0] if own else None


def _judge_stores(options: Discriminate) -> Record:
    rows: List[Record] = []
    shown: List[Record] = []
    for neg in options.stores:
        subsets = {name: NegativesSubset(neg, name) for name in (VALID, options.gen_subset)}
        models = _load(options, neg)
        models.require_window(subsets[VALID].window)
        scorers = _scorers(models, options)
        if options.learns_words:
            scorers.append(_tfidf(options.tfidf_from or neg, neg))
        scores: Dict[str, Dict[str, Scores]] = {}
        for name, subset in subsets.items():
            members = chosen(subset, options.max_windows, options.seed)
            bar = progress(batches(subset, members), f"{neg.name}: {name} (batches)")
            scores[name] = score_windows(bar, scorers)
        for name, test in scores[options.gen_subset].items():
            line = thresholds(scores[VALID][name], natural_threshold(name, scorers))
            margin = models.energy.margin if models.energy and name == ENERGY else None
            measured = row_by_prefix_length(test, line, options.seed, margin)
            rows.append({"scorer": name, "input": str(neg), **measured})
        if options.show:  # of the subset judged last
            texts, energies = load_tokenizer(neg), scores[options.gen_subset][ENERGY]
            found = zip(members[: options.show], energies.real, energies.generated)
            shown += [shown_window(subset, texts, str(neg), *each) for each in found]
    record = {"rows": rows, "provenance": _provenance(options, models)}
    return {**record, "shown": shown} if options.show else record


def shown_window(
    subset: NegativesSubset, tokenizer: Tokenizer, store: str, i: int, real: float, others: Any
) -> Record:
    """What texts share, and each with its energy, the lowest first. P2 figure 4."""
    example = subset[i]
    prefix = example.prefix_length
    part = slice(0, len(example.real) - prefix)
    shared = slice(len(example.real) - prefix, None)
    if not subset.manifest.right_to_left:
        part, shared = slice(prefix, None), slice(0, prefix)
    judged = [(real, example.real, "real")]
    judged += [(e, tokens, "generated") for e, tokens in zip(others, example.negatives)]
    texts = [
        {"by": by, "energy": float(energy), "text": tokenizer.decode(tokens[part].tolist())}
        for energy, tokens, by in sorted(judged, key=lambda each: each[0])
    ]
    context = tokenizer.decode(example.real[shared].tolist())
    return {"input": store, "window": i, "context": context, "texts": texts}


def _tfidf(neg: Path, judged: Path) -> TfIdfScorer:
    """Learnt from the store ``neg``, which has the vocabulary of the one that is ``judged``."""
    problem = f"--tfidf-from: {neg}: made with another dictionary"
    require_same_dictionary(judged / DICTIONARY_NAME, neg / DICTIONARY_NAME, problem)
    tokenizer, texts = load_tokenizer(neg), []
    for name in ("train", VALID):
        subset = NegativesSubset(neg, name)
        every = batches(subset, range(len(subset)))
        bar = progress(every, f"{neg.name}: words of {name} (batches)")
        texts.append(labelled(tokenizer, bar))
    return TfIdfScorer(tokenizer, TfIdf(*texts))


def _judge_files(options: Discriminate) -> Record:
    assert options.like is not None
    models, tokenizer = _load(options, options.like), load_tokenizer(options.like)
    window = options.window or models.window
    models.require_window(window)
    scorers = _scorers(models, options)
    blocks = BlockOptions(window, options.stride or max(1, window // 2), options.skip_short)
    for name, path in options.files.items():
        flag = f"--{name.replace('_', '-')}"
        require_known_texts(path, tokenizer, flag, options.skip_bad_lines)
    texts: Dict[str, Record] = {}
    scores: Dict[str, Dict[str, Any]] = {}
    readers: Dict[str, Reader] = {"tfidf": _words_of_files(options).scores} if options.tfidf else {}
    for name, path in options.judged_files.items():
        bad: Bad = [] if options.skip_bad_lines else None
        scored, counts = _score_file(path, tokenizer, scorers, blocks, readers, bad)
        scores[name], texts[str(path)] = scored.scores, counts
    rows = []
    for name in scores["real"]:
        own = natural_threshold(name, scorers)
        line = Thresholds(own, natural=own)
        if "valid_real" in scores:
            valid = Scores(scores["valid_real"][name], scores["valid_fake"][name])
            line = thresholds(valid, own)
        test = Scores(scores["real"][name], scores["fake"][name])
        source = f"{options.real} {options.fake}"
        rows.append({"scorer": name, "input": source, **row(test, line, options.seed)})
    return {"rows": rows, "texts": texts, "provenance": _provenance(options, models)}


def _words_of_files(options: Discriminate) -> TfIdf:
    def read(name: str) -> List[str]:
        bad: Bad = [] if options.skip_bad_lines else None
        return list(progress(read_texts(options.files[name], bad), f"words of {name} (texts)"))

    parts = [(read(f"{part}_real"), read(f"{part}_fake")) for part in ("train", VALID)]
    return TfIdf(*(labelled_texts(*part) for part in parts))


def _score_file(
    path: Path,
    tokenizer: Tokenizer,
    scorers: Sequence[Scorer],
    blocks: BlockOptions,
    readers: Dict[str, Reader],
    bad: Bad,
) -> "tuple[TextScores, Record]":
    texts = progress(read_texts(path, bad), f"{path.name} (texts)")
    scored = score_texts(texts, tokenizer, scorers, blocks, readers)
    if not scored.sizes:
        raise UserError(f"{path}: no text in it that could be scored")
    short, too_short = (0, scored.short) if blocks.skip_short else (scored.short, 0)
    return scored, {
        "texts": len(scored.sizes),
        "blocks": sum(scored.sizes),
        "empty": scored.empty,
        "bad_lines": len(bad or []),
        "short": short,
        "too_short": too_short,
    }


def _provenance(options: Discriminate, models: LoadedModels) -> Record:
    stores = [*options.stores, *([options.tfidf_from] if options.tfidf_from else [])]
    recorded = ("gen_subset", "tfidf", "tfidf_from", "max_windows", "window", "stride")
    return provenance(
        options,
        {"energy": models.energy, "language_model": models.lm},
        files={name: sha256_of(path) for name, path in options.files.items()},
        stores={str(neg): dataclasses.asdict(read_manifest(neg)) for neg in stores},
        options=options.recorded(*recorded, "mean_of", "skip_short"),
    )
