"""Perplexities of a split: windows through models into the report."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import Any, List, Optional

from ..data.identity import token_hash
from ..data.windows import WindowOptions, Windows
from ..errors import Interrupted, OptionError
from ..joint.checkpoints import LoadedJoint, load_joint_checkpoints
from ..joint.model import Joint
from ..options import Record
from ..progress import progress
from ..provenance import provenance
from . import perplexity
from .comparison import read_baseline
from .fitting import Fitted, fit
from .log_probs import EvaluationOptions, WindowResult, blocks, evaluate_all
from .options import FITTED_ON, MAX_SAMPLES, NUM_SAMPLES, EvalLM
from .report import report_of
from .results import FORMAT_VERSION, ResultsFile, join_shards, results_path

SHOW_EVERY = 1.0  # seconds


def eval_lm(options: EvalLM) -> Record:
    """The report of all windows; ``Interrupted`` has that of those that are done. Of one of several
    shards, which part it is."""
    if options.merge is not None:
        about, results = join_shards(options.merge)
        baselines = [read_baseline(report, about) for report in options.baseline]
        complete = ResultsFile(results_path(options.merge), about, resume=False)
        for result in results:
            complete.add(result)
        return report_of(about, results, baselines)
    assert options.data is not None
    estimates = EvaluationOptions(
        num_samples=options.num_samples or NUM_SAMPLES,
        max_samples=options.max_samples or MAX_SAMPLES,
        sample_curve=tuple(sorted(set(options.sample_curve))),
        **options.recorded("sampling_error", "per_position", "exact_last_position", "seed"),
    )
    recorded = options.recorded("window", "stride", "max_windows", "seed")
    cut = WindowOptions(prefix_lengths=(options.prefix_length,), **recorded)
    windows = Windows(options.data, options.gen_subset, cut)
    models = load_joint_checkpoints(
        str(options.path), options.data, options.precision, options.device, options.sampling_memory
    )
    models.require_window(options.window)
    models.require_density(weights_are_free=options.fit_weights)
    if not models.judges and estimates.sampling_error is not None:
        raise OptionError("{sampling_error}: a language model alone needs no samples; drop it")
    if not models.judges and options.fit_weights:
        raise OptionError("{fit_weights}: a language model alone has none; drop it")
    fitted = None
    if options.fit_weights:
        valid = Windows(options.data, FITTED_ON, cut)
        fitted = fit(models.joint(), valid, estimates)
        models = models.weighted(fitted.weights)
    about = _about(options, estimates, models, len(windows), fitted)
    return _evaluated(models.joint(), windows, estimates, about, options)


def _about(
    options: EvalLM,
    estimates: EvaluationOptions,
    models: LoadedJoint,
    num_windows: int,
    fitted: Optional[Fitted],
) -> Record:
    """What the results are of: the first line of their file."""
    assert options.data is not None
    doubts = models.doubts(options.prefix_length, options.window)
    return {
        "format_version": FORMAT_VERSION,
        "energy": models.judges,
        "options": dataclasses.asdict(estimates),
        "window": options.window,
        "prefix_length": options.prefix_length,
        "num_windows": num_windows,
        "provenance": provenance(
            options,
            models.named(),
            **models.also_named(),
            **({"fitted": dataclasses.asdict(fitted)} if fitted else {}),
            text={options.gen_subset: token_hash(options.data, options.gen_subset)},
            sampler="untruncated",
            sampling_memory=options.sampling_memory,
            windows=options.recorded("gen_subset", "stride", "max_windows"),
        ),
        **({"doubts": doubts} if doubts else {}),
        **({"right_to_left": True} if models.lm.right_to_left else {}),
    }


def _evaluated(
    joint: Joint, windows: Windows, estimates: EvaluationOptions, about: Record, options: EvalLM
) -> Record:
    baselines = [read_baseline(report, about) for report in options.baseline]
    out, (shard, shards) = options.out, options.shard
    file = ResultsFile(results_path(out, shard, shards), about, options.resume) if out else None
    results: List[WindowResult] = list(file.done) if file else []
    parts = blocks(joint, len(windows), estimates, shard, shards)
    done, total = len(results), sum(map(len, parts))
    new = evaluate_all(joint, windows, parts, estimates, {result.number for result in results})
    bar = Postfix(progress(new, options.gen_subset, total, done), about, done)
    interrupted: Optional[str] = None
    try:
        for result in bar.items:
            results.append(result)
            if file:
                file.add(result)
            bar.show(results)
    except KeyboardInterrupt:
        if not results:
            raise
        more = "--resume continues" if out else "--results-path and --resume would continue"
        interrupted = f"interrupted after {len(results):,} of {total:,} windows; {more}"
    if shards > 1:
        record = {"kind": "shard", "shard": shard, "shards": shards, "merge": str(out)}
        record["complete"] = interrupted is None
    else:
        record = report_of(about, results, baselines)
    if interrupted is not None:
        raise Interrupted(interrupted, record)
    return record


class Postfix:
    """The bounds so far, and how fast it is, on the progress bar."""

    def __init__(self, items: Any, about: Record, done: int) -> None:
        self.items, self.about, self.done = items, about, done
        self.began, self.shown = time.monotonic(), 0.0

    def show(self, results: Sequence[WindowResult]) -> None:
        now = time.monotonic()
        if self.items.disable or now - self.shown <= SHOW_EVERY:
            return
        self.shown = now
        tokens = self.about["window"] - self.about["prefix_length"]
        base = perplexity.perplexity(perplexity.base_log_probs(results), tokens)
        words = [f"base {base:.2f}"]
        if self.about["energy"]:
            log_ps = (perplexity.joint_log_probs(results, bound) for bound in ("lower", "upper"))
            lower, upper = (perplexity.perplexity(log_p, tokens) for log_p in log_ps)
            samples = sum(result.num_samples for result in results[self.done :])
            words += [f"joint {lower:.2f} to {upper:.2f}"]
            words += [f"{samples / (now - self.began):.0f} samples/s"]
        self.items.set_postfix_str(", ".join(words), refresh=sys.stderr.isatty())
