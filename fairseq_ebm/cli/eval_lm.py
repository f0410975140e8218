"""fairseq-ebm-eval-lm: bounds on the perplexity of a joint model, or that of a language model."""

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch

from ..data.identity import token_hash
from ..data.windows import WindowOptions, Windows
from ..errors import UserError
from ..evaluation import perplexity
from ..evaluation.comparison import Baseline, read_baselines
from ..evaluation.log_probs import (
    LEAST_ERROR,
    EvaluationOptions,
    WindowResult,
    blocks,
    evaluate_all,
)
from ..evaluation.report import report_of
from ..evaluation.results import FORMAT_VERSION, ResultsFile, join_shards, results_path
from ..joint.checkpoints import load_joint_checkpoints
from ..joint.model import Joint
from ..records import write_json
from ..version import __version__
from . import processes
from .program import ArgumentParser, progress, run, share, whole_number

DESCRIPTION = """\
Perplexity of the continuations of windows of a split: of a language model, and lower
and upper bounds of that of the joint model P_LM(x) exp(-E(x)) / Z.

  fairseq-ebm-eval-lm DATA --path lm.pt:energy.pt --results-path OUT.json
  fairseq-ebm-eval-lm DATA --path lm.pt
  fairseq-ebm-eval-lm --merge OUT.json         # after shards

Ctrl-C prints and writes what is done; --resume goes on.
"""


SHOW_EVERY = 1.0  # seconds


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-eval-lm", description=DESCRIPTION)
    parser.add_argument("data", nargs="?", metavar="DATA", help="prepared directory")
    parser.add_argument(
        "--path", metavar="LM.pt[:ENERGY.pt]", help="checkpoints, in any order, joined by a colon"
    )
    parser.add_argument("--merge", metavar="OUT.json", help="join the shards of a report")
    windows = parser.add_argument_group("windows")
    windows.add_argument("--gen-subset", default="test", help="split (default: test)")
    windows.add_argument("--window", type=whole_number(1), default=160, help="(default: 160)")
    windows.add_argument("--stride", type=whole_number(1), default=160, help="(default: 160)")
    windows.add_argument(
        "--prefix-length", type=whole_number(0), default=120, help="context (default: 120)"
    )
    windows.add_argument("--max-windows", type=whole_number(1), help="at most, at random")
    estimate = parser.add_argument_group("estimates")
    estimate.add_argument(
        "--num-samples", type=whole_number(2), help="of each window (default: 1000)"
    )
    estimate.add_argument(
        "--sampling-error",
        type=share(LEAST_ERROR),
        metavar="E",
        help="instead of --num-samples: as many samples as each window needs until the joint "
        "perplexity's own standard error of sampling is at most E of it, as 0.1%% or 0.001",
    )
    estimate.add_argument(
        "--max-samples",
        type=whole_number(2),
        help="with --sampling-error: of one window at most "
        f"(default: {EvaluationOptions.max_samples:,})",
    )
    estimate.add_argument(
        "--sample-curve",
        type=sizes,
        default=(),
        metavar="N,N,…",
        help="bounds from the first so many samples of each pool, too",
    )
    estimate.add_argument(
        "--per-position", action="store_true", help="bounds at every position, a pool for each"
    )
    estimate.add_argument(
        "--exact-last-position",
        action="store_true",
        help="the last position over the whole vocabulary, without samples",
    )
    estimate.add_argument("--seed", type=whole_number(0), default=1, help="(default: 1)")
    output = parser.add_argument_group("output")
    output.add_argument("--results-path", metavar="OUT.json", help="write the report there")
    output.add_argument(
        "--baseline",
        nargs="+",
        default=[],
        metavar="OUT.json",
        help="reports on the same windows, of other models, to be compared with window by window",
    )
    output.add_argument(
        "--draw",
        action="store_true",
        help="draw the curve and the positions: OUT.curve.svg, OUT.positions.svg",
    )
    output.add_argument("--resume", action="store_true", help="go on with OUT.windows.jsonl")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    machine = parser.add_argument_group("machine")
    processes.add_precision_flags(machine)
    processes.add_memory_flag(machine)
    processes.add_shard_flags(machine)
    return parser


def sizes(text: str) -> Tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not numbers with commas") from None


def evaluate_perplexity(arguments: argparse.Namespace) -> None:
    if arguments.merge is not None:
        out = Path(arguments.merge)
        about, results = join_shards(out)
        baselines = read_baselines(arguments.baseline, about)
        whole = ResultsFile(results_path(out), about, resume=False)
        for result in results:
            whole.add(result)
        finish(about, results, out, baselines, arguments)
        return
    for name in ("data", "path"):
        if getattr(arguments, name) is None:
            raise UserError(f"{'DATA' if name == 'data' else '--path'}: needed")
    shard = processes.shard(arguments)
    if (shard[1] > 1 or arguments.resume or arguments.draw) and arguments.results_path is None:
        raise UserError("--results-path: needed with shards, --resume and --draw")
    if arguments.max_samples and not arguments.sampling_error:
        raise UserError("--max-samples: goes with --sampling-error alone; drop it")
    if arguments.num_samples and arguments.sampling_error:
        raise UserError("--num-samples: --sampling-error decides how many; drop one of them")
    if arguments.draw and not (arguments.sample_curve or arguments.per_position):
        raise UserError("--draw: nothing to draw without --sample-curve or --per-position")
    options = EvaluationOptions(
        num_samples=arguments.num_samples or EvaluationOptions.num_samples,
        sampling_error=arguments.sampling_error,
        max_samples=arguments.max_samples or EvaluationOptions.max_samples,
        sample_curve=arguments.sample_curve,
        per_position=arguments.per_position,
        exact_last_position=arguments.exact_last_position,
        seed=arguments.seed,
    )
    windows = Windows(
        arguments.data,
        arguments.gen_subset,
        WindowOptions(
            window=arguments.window,
            stride=arguments.stride,
            prefix_lengths=(arguments.prefix_length,),
            max_windows=arguments.max_windows,
            seed=arguments.seed,
        ),
    )
    joint, provenance, doubts = load(arguments)
    if joint.energy is None and options.sampling_error is not None:
        raise UserError("--sampling-error: a language model alone needs no samples; drop it")
    about = {
        "format_version": FORMAT_VERSION,
        "energy": joint.energy is not None,
        "options": dataclasses.asdict(options),
        "window": arguments.window,
        "prefix_length": arguments.prefix_length,
        "num_windows": len(windows),
        "provenance": provenance,
        **({"doubts": doubts} if doubts else {}),
        **({"right_to_left": True} if joint.right_to_left else {}),
    }
    baselines = read_baselines(arguments.baseline, about)
    work(joint, windows, options, shard, about, baselines, arguments)


def load(arguments: argparse.Namespace) -> Tuple[Joint, Dict[str, Any], List[str]]:
    """The models in --path, what they and the text are, and why not to trust them."""
    data, precision = Path(arguments.data), processes.precision(arguments)
    device, memory = processes.device(arguments), arguments.sampling_memory
    models = load_joint_checkpoints(arguments.path, data, precision, device, memory)
    models.require_window(arguments.window)
    models.require_density()
    provenance = {
        **models.provenance(),
        "text": {arguments.gen_subset: token_hash(data, arguments.gen_subset)},
        "sampler": "untruncated",
        "precision": precision,
        "sampling_memory": memory,
        "windows": {
            name: getattr(arguments, name) for name in ("gen_subset", "stride", "max_windows")
        },
        "seed": arguments.seed,
        "versions": {"fairseq_ebm": __version__, "torch": torch.__version__},
    }
    return models.joint(), provenance, models.doubts(arguments.prefix_length, arguments.window)


def work(
    joint: Joint,
    windows: Windows,
    options: EvaluationOptions,
    shard: Tuple[int, int],
    about: Dict[str, Any],
    baselines: Sequence[Baseline],
    arguments: argparse.Namespace,
) -> None:
    out = Path(arguments.results_path) if arguments.results_path else None
    file = ResultsFile(results_path(out, *shard), about, arguments.resume) if out else None
    results = list(file.done) if file else []
    parts = blocks(joint, len(windows), options, *shard)
    found = evaluate_all(joint, windows, parts, options, {result.number for result in results})
    total, done = sum(map(len, parts)), len(results)
    bar = progress(found, arguments.gen_subset, total, arguments.quiet, done)
    stopped, started, shown = False, time.monotonic(), 0.0
    try:
        for result in bar:
            results.append(result)
            if file:
                file.add(result)
            now = time.monotonic()
            if now - shown > SHOW_EVERY:
                show(bar, about, results, done, now - started)
                shown = now
    except KeyboardInterrupt:
        stopped = True
    if stopped and not results:
        raise KeyboardInterrupt
    if stopped:
        more = "--resume goes on" if out else "--results-path and --resume would go on"
        print(f"interrupted after {len(results):,} of {total:,} windows; {more}", file=sys.stderr)
    if shard[1] > 1:
        state = "stopped; go on with --resume" if stopped else f"done; after all: --merge {out}"
        tell(arguments.quiet, f"shard {shard[0]} of {shard[1]}: {state}")
    else:
        finish(about, results, out, baselines, arguments)
    if stopped:
        sys.exit(130)


def show(
    bar: Any, about: Dict[str, Any], results: List[WindowResult], done: int, seconds: float
) -> None:
    """The bounds so far, and how fast it went beyond the first ``done``, on the progress bar."""
    if getattr(bar, "disable", True):
        return
    log_z = [result.log_z for result in results]
    tokens = about["window"] - about["prefix_length"]
    base = perplexity.perplexity(perplexity.base_log_probs(results), tokens)
    words = [f"base {base:.2f}"]
    if about["energy"]:
        lower, upper = (
            perplexity.perplexity(perplexity.joint_log_probs(results, log_z, bound), tokens)
            for bound in ("lower", "upper")
        )
        samples = sum(result.num_samples for result in results[done:])
        words += [f"joint {lower:.2f} to {upper:.2f}", f"{samples / seconds:.0f} samples/s"]
    bar.set_postfix_str(", ".join(words), refresh=sys.stderr.isatty())


def finish(
    about: Dict[str, Any],
    results: List[WindowResult],
    out: Optional[Path],
    baselines: Sequence[Baseline],
    arguments: argparse.Namespace,
) -> None:
    """Writes and shows the report of all windows, or of those that are done."""
    report = report_of(about, results, baselines)
    if out is not None:
        write_json(report, out)
    from ..reports.perplexity import draw, table  # noqa: PLC0415 (takes a second)

    tell(arguments.quiet, table(report, about["num_windows"]))
    if arguments.draw and out is not None:
        for picture in draw(report, out):
            tell(arguments.quiet, f"drawn: {picture}")


def tell(quiet: bool, text: str) -> None:
    if not quiet:
        print(text)


def main() -> None:
    run(build_parser(), evaluate_perplexity)


if __name__ == "__main__":
    main()
