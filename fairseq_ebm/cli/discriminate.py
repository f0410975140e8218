"""fairseq-ebm-discriminate: how well scores tell generated text from real."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch

from ..data.tokenizers import DICTIONARY_NAME, Tokenizer, load_tokenizer, require_same_dictionary
from ..detection.metrics import Scores, Thresholds, row, row_by_prefix_length, thresholds
from ..detection.scorers import EnergyScorer, LanguageModelScorer, Scorer
from ..detection.stores import batches, chosen, score_windows
from ..detection.tfidf import TfIdfScorer, labelled
from ..detection.whole_texts import BlockOptions, TextScores, score_texts
from ..errors import UserError
from ..files import sha256_of
from ..lm.checkpoint import load_base_lm
from ..models.checkpoint import WINDOW, load_energy, trained_window
from ..negatives.jsonl import read_texts, require_known_texts
from ..negatives.store import NegativesSubset, read_manifest
from ..records import write_json
from ..version import __version__
from . import processes
from .program import ArgumentParser, progress, run, whole_number

DESCRIPTION = """\
How well an energy, the scores of a language model and TF-IDF tell generated text from
real. A higher score means generated; thresholds are set on the valid subset.

  fairseq-ebm-discriminate NEG… --path energy.pt [--lm lm.pt] [--tfidf]
  fairseq-ebm-discriminate --real R.jsonl --fake F.jsonl --like DATA --path energy.pt
      [--valid-real R2.jsonl --valid-fake F2.jsonl]
"""

VALID = "valid"


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-discriminate", description=DESCRIPTION)
    parser.add_argument("stores", nargs="*", metavar="NEG", help="stores of negatives")
    scorers = parser.add_argument_group("scorers")
    scorers.add_argument("--path", metavar="ENERGY.pt", help="an energy")
    scorers.add_argument("--lm", metavar="LM.pt", help="a language model: six scores in one pass")
    scorers.add_argument(
        "--tfidf",
        nargs="?",
        const="",
        metavar="NEG",
        help="words and pairs of words, by logistic regression on the train subset of each store, "
        "or that of NEG",
    )
    windows = parser.add_argument_group("stores")
    windows.add_argument("--gen-subset", default="test", help="(default: test)")
    windows.add_argument("--max-windows", type=whole_number(1), help="of a subset, at random")
    texts = parser.add_argument_group('whole texts, a JSON object with "text" in each line')
    texts.add_argument("--real", metavar="R.jsonl", help="texts of people")
    texts.add_argument("--fake", metavar="F.jsonl", help="generated texts")
    texts.add_argument("--valid-real", metavar="R.jsonl", help="others, to set thresholds")
    texts.add_argument("--valid-fake", metavar="F.jsonl", help="others, to set thresholds")
    texts.add_argument("--like", metavar="DATA", help="whose vocabulary the scorers have")
    texts.add_argument(
        "--window", type=whole_number(1), help="tokens of a block (default: the energy's, or 160)"
    )
    texts.add_argument(
        "--stride", type=whole_number(1), help="between blocks (default: half a window)"
    )
    texts.add_argument(
        "--mean-of",
        choices=("energy", "probability"),
        default="energy",
        help="what of a text's blocks is averaged (default: energy)",
    )
    texts.add_argument(
        "--skip-short", action="store_true", help="pass over texts shorter than a block"
    )
    texts.add_argument("--skip-bad-lines", action="store_true", help="count them, and go on")
    parser.add_argument("--results-path", metavar="OUT.json", help="write the report there")
    parser.add_argument(
        "--draw",
        action="store_true",
        help="draw how far apart the energies of pairs are, beside it",
    )
    parser.add_argument("--seed", type=whole_number(0), default=1, help="(default: 1)")
    machine = parser.add_argument_group("machine")
    processes.add_precision_flags(machine)
    machine.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def discriminate(arguments: argparse.Namespace) -> None:
    check(arguments)
    rows = of_files(arguments) if arguments.real else of_stores(arguments)
    report = {"rows": rows, "provenance": provenance(arguments)}
    out = Path(arguments.results_path or "")
    if arguments.results_path:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(report, out)
    from ..reports.detection import draw, table  # noqa: PLC0415 (takes a second)

    if not arguments.quiet:
        print(table(rows))
    if arguments.draw:
        for picture in draw(report, out):
            if not arguments.quiet:
                print(f"drawn: {picture}")


def check(arguments: argparse.Namespace) -> None:
    if bool(arguments.stores) == bool(arguments.real or arguments.fake):
        raise UserError("give stores of negatives, or --real and --fake")
    for one, other in (("real", "fake"), ("valid_real", "valid_fake")):
        if bool(getattr(arguments, one)) != bool(getattr(arguments, other)):
            flags = (f"--{name.replace('_', '-')}" for name in (one, other))
            raise UserError(f"{' and '.join(flags)}: give both")
    if arguments.real and not arguments.like:
        raise UserError("--like: needed with --real and --fake")
    if arguments.real and arguments.tfidf is not None:
        raise UserError("--tfidf: learns from a store's train subset; not with --real and --fake")
    if not (arguments.path or arguments.lm or arguments.tfidf is not None):
        raise UserError("no scorer: give --path, --lm or --tfidf")
    if arguments.draw and not arguments.results_path:
        raise UserError("--results-path: needed with --draw")
    if arguments.draw and not (arguments.stores and arguments.path):
        raise UserError("--draw: draws an energy (--path) on stores of negatives")
    if arguments.gen_subset == VALID:
        raise UserError(f"--gen-subset {VALID}: sets the thresholds, and cannot judge them too")


class Scorers(NamedTuple):
    scorers: List[Scorer]
    window: int


def scorers_of(arguments: argparse.Namespace, data: Path, window: Optional[int]) -> Scorers:
    """The energy and the language model, for the dictionary of ``data``, and the window of texts:
    that given, or what the energy was trained on."""
    precision, device = processes.precision(arguments), processes.device(arguments)
    found: List[Scorer] = []
    positions: List[Tuple[str, str, int]] = []
    trained = WINDOW
    if arguments.path:
        energy = load_energy(Path(arguments.path), data, precision, device)
        probability = arguments.mean_of == "probability"
        line = 0.5 if probability else 0.0
        natural = line if energy.criterion == "conditional_nce" else None  # others draw none
        found.append(EnergyScorer(energy.model, probability, natural))
        positions.append(("--path", arguments.path, int(energy.model.max_positions())))
        trained = trained_window(energy.negatives, int(energy.model.max_positions()))
    if arguments.lm:
        lm = load_base_lm(Path(arguments.lm), data, precision, device, "--lm")
        found.append(LanguageModelScorer(lm.model, lm.right_to_left))
        positions.append(("--lm", arguments.lm, lm.max_positions))
        trained = trained if arguments.path else min(trained, lm.max_positions)
    window = window or trained
    for flag, path, longest in positions:
        processes.require_positions(flag, path, longest, window)
    return Scorers(found, window)


def natural(name: str, scorers: Sequence[Scorer]) -> Optional[float]:
    """Conditional NCE draws a line of its own; the papers' accuracies go by it."""
    own = [s.threshold for s in scorers if isinstance(s, EnergyScorer) and name in s.names]
    return own[0] if own else None


def of_stores(arguments: argparse.Namespace) -> List[Dict[str, Any]]:
    rows: List[Dict[str, Any]] = []
    for neg in map(Path, arguments.stores):
        subsets = {name: NegativesSubset(neg, name) for name in (VALID, arguments.gen_subset)}
        scorers = scorers_of(arguments, neg, subsets[VALID].window).scorers
        if arguments.tfidf is not None:
            learned = Path(arguments.tfidf or neg)
            dictionaries = neg / DICTIONARY_NAME, learned / DICTIONARY_NAME
            require_same_dictionary(
                *dictionaries, f"--tfidf: {learned}: made with another dictionary"
            )
            scorers.append(tfidf(learned, arguments))
        found = {
            name: scored(subset, scorers, f"{neg.name}: {name}", arguments)
            for name, subset in subsets.items()
        }
        for name, test in found[arguments.gen_subset].items():
            given = thresholds(found[VALID][name], natural(name, scorers))
            line = row_by_prefix_length(test, given, arguments.seed)
            rows.append({"scorer": name, "input": str(neg), **line})
    return rows


def scored(
    subset: NegativesSubset, scorers: Sequence[Scorer], label: str, arguments: argparse.Namespace
) -> Dict[str, Scores]:
    members = chosen(subset, arguments.max_windows, arguments.seed)
    bar = progress(batches(subset, members), f"{label} (batches)", None, arguments.quiet)
    return score_windows(bar, scorers)


def tfidf(neg: Path, arguments: argparse.Namespace) -> TfIdfScorer:
    tokenizer = load_tokenizer(neg)
    texts = []
    for name in ("train", VALID):
        subset = NegativesSubset(neg, name)
        every = batches(subset, chosen(subset, None, arguments.seed))
        bar = progress(every, f"{neg.name}: words of {name} (batches)", None, arguments.quiet)
        texts.append(labelled(tokenizer, bar))
    return TfIdfScorer(tokenizer, *texts)


def of_files(arguments: argparse.Namespace) -> List[Dict[str, Any]]:
    data = Path(arguments.like)
    (scorers, window), tokenizer = (
        scorers_of(arguments, data, arguments.window),
        load_tokenizer(data),
    )
    stride = arguments.stride or max(1, window // 2)
    options = BlockOptions(window, stride, arguments.skip_short)
    given_names = ("real", "fake", "valid_real", "valid_fake")
    files = {name: Path(path) for name in given_names if (path := getattr(arguments, name))}
    for name, path in files.items():
        flag = f"--{name.replace('_', '-')}"
        require_known_texts(path, tokenizer, flag, arguments.skip_bad_lines)
    of_kind = {
        name: texts_scored(path, tokenizer, scorers, options, arguments)
        for name, path in files.items()
    }
    rows = []
    for name in of_kind["real"].scores:
        line_of_its_own = natural(name, scorers)
        given = Thresholds(line_of_its_own, natural=line_of_its_own)
        if "valid_real" in of_kind:
            valid = pair(of_kind["valid_real"], of_kind["valid_fake"], name)
            given = thresholds(valid, line_of_its_own)
        line = row(pair(of_kind["real"], of_kind["fake"], name), given, arguments.seed)
        rows.append({"scorer": name, "input": f"{arguments.real} {arguments.fake}", **line})
    return rows


def pair(real: TextScores, fake: TextScores, name: str) -> Scores:
    return Scores(real.scores[name], fake.scores[name])


def texts_scored(
    path: Path,
    tokenizer: Tokenizer,
    scorers: Sequence[Scorer],
    options: BlockOptions,
    arguments: argparse.Namespace,
) -> TextScores:
    bad: Optional[List[str]] = [] if arguments.skip_bad_lines else None
    texts: Iterator[str] = read_texts(path, bad)
    bar = progress(texts, f"{path.name} (texts)", None, arguments.quiet)
    found = score_texts(bar, tokenizer, scorers, options)
    if not found.num_blocks:
        raise UserError(f"{path}: no text in it that could be scored")
    if not arguments.quiet:
        passed = [(found.empty, "empty"), (len(bad or []), "bad line" + "s" * (len(bad or []) > 1))]
        passed.append((found.short, "passed over, too short" if options.skip_short else "short"))
        words = ", ".join(f"{count:,} {what}" for count, what in passed if count)
        count = len(next(iter(found.scores.values())))
        print(f"{path}: {count:,} texts, {found.num_blocks:,} blocks" + f" ({words})" * bool(words))
    return found


def provenance(arguments: argparse.Namespace) -> Dict[str, Any]:
    checkpoints = {"energy": arguments.path, "language_model": arguments.lm}
    names = ("real", "fake", "valid_real", "valid_fake")
    files = {name: getattr(arguments, name) for name in names}
    stores = [*arguments.stores, *([arguments.tfidf] if arguments.tfidf else [])]
    options = (
        "gen_subset",
        "tfidf",
        "max_windows",
        "window",
        "stride",
        "mean_of",
        "skip_short",
        "seed",
    )
    return {
        **{name: sha256_of(Path(path)) for name, path in checkpoints.items() if path},
        **{name: sha256_of(Path(path)) for name, path in files.items() if path},
        "stores": {neg: dataclasses.asdict(read_manifest(Path(neg))) for neg in stores},
        "options": {name: getattr(arguments, name) for name in options},
        "precision": processes.precision(arguments),
        "versions": {"fairseq_ebm": __version__, "torch": torch.__version__},
    }


def main() -> None:
    run(build_parser(), discriminate)


if __name__ == "__main__":
    main()
