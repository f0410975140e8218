"""What the program ``fairseq-ebm`` can do, and Python as well: options in, the record out.

from fairseq_ebm import EvalLM, run

report = run(EvalLM(data="DATA", path="lm.pt:energy.pt", num_samples=100))
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Type

from .errors import Interrupted
from .options import Drawing, Options, Record
from .progress import silence
from .records import write_json
from .registration import register

UNWRITTEN = ("shard", "explored")  # kinds of records that say what was done, and are no reports

# In the order of the way from text to a report; each with the place of its options.
VERBS: Mapping[str, str] = {
    "prepare": "data.options:Prepare",
    "negatives": "negatives.options:Negatives",
    "eval-lm": "evaluation.options:EvalLM",
    "discriminate": "detection.options:Discriminate",
    "weaknesses": "weaknesses.options:Weaknesses",
    "next-token": "joint.options:NextToken",
    "analyse": "joint.options:Analyse",
    "selection-test": "selection.options:SelectionTest",
    "selection-scores": "selection.options:SelectionScores",
    "selection-filter": "selection.options:SelectionFilter",
    "selection-log": "selection.options:SelectionLog",
    "human-eval export": "human_eval.options:Export",
    "human-eval qualify": "human_eval.options:Qualify",
    "human-eval analyse": "human_eval.options:Count",
    "report": "reports.options:Report",
    "explore": "explore.options:Explore",
    "run": "workflow.options:Run",
}


def options_of(verb: str) -> Type[Options]:
    options: Type[Options] = _imported(VERBS[verb])
    return options


def run(options: Options) -> Record:
    """Does the work, writes what the program would write, and returns the record."""
    if options.needs_fairseq:
        register()
    out = getattr(options, "out", None)
    if out is not None:  # before the work, which may take hours
        out.parent.mkdir(parents=True, exist_ok=True)
    with silence(getattr(options, "quiet", False)):
        try:
            record: Record = _imported(options.work)(options)
        except Interrupted as interrupt:
            _deliver(options, interrupt.record)
            raise
        _deliver(options, record)
    return record


def _deliver(options: Any, record: Record) -> None:
    out = getattr(options, "out", None)
    if out is None or record["kind"] in UNWRITTEN:
        return
    write_json(record, out)
    if isinstance(options, Drawing) and options.draw:
        _imported("reports.kinds:draw")(record, out)


def public_name(name: str) -> Any:
    """What the package offers, imported when it is asked for."""
    places = {place.partition(":")[2]: place for place in VERBS.values()}
    places.update(JointModel="joint.api:JointModel", run="verbs:run")
    if name not in places:
        raise AttributeError(f"module '{__package__}' has no attribute '{name}'")
    if name == "JointModel":
        register()
    return _imported(places[name])


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f".{module}", __package__), name)
