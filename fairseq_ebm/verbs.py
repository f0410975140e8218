"""What the program ``fairseq-ebm`` can do, and Python as well: options in, the record out.

from fairseq_ebm import EvalLM, run

report = run(EvalLM(data="DATA", path="lm.pt:energy.pt", num_samples=100))
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Type

from .errors import Interrupted
from .options import Drawing, Options, Record
from .progress import silence
from .records import write_json
from .registration import register

UNWRITTEN = ("shard",)  # kinds of records that say what was done, and are no reports


@dataclass(frozen=True)
class Verb:
    """``options`` and ``work``: MODULE:NAME, imported when they are needed."""

    title: str
    options: str
    work: str
    needs_fairseq: bool = True

    @property
    def options_class(self) -> Type[Options]:
        found: Type[Options] = _imported(self.options)
        return found


# In the order of the way from text to a report.
VERBS: Mapping[str, Verb] = {
    "prepare": Verb(
        "text -> vocabulary and tokens", "data.options:Prepare", "data.prepare:prepare_text"
    ),
    "negatives": Verb(
        "tokens, a language model -> its continuations beside the real ones",
        "negatives.options:Negatives",
        "negatives.generate:negatives",
    ),
    "eval-lm": Verb(
        "a language model, an energy -> perplexity and its bounds",
        "evaluation.options:EvalLM",
        "evaluation.eval_lm:eval_lm",
    ),
    "discriminate": Verb(
        "an energy, texts -> how well it tells generated text from real",
        "detection.options:Discriminate",
        "detection.discriminate:discriminate",
    ),
    "weaknesses": Verb(
        "an energy, texts -> what turns its verdict",
        "weaknesses.options:Weaknesses",
        "weaknesses.questions:weaknesses",
    ),
    "next-token": Verb(
        "a text -> what comes next, looking ahead",
        "joint.options:NextToken",
        "joint.next_token:next_token",
    ),
    "analyse": Verb(
        "generated text -> repetition and densities",
        "joint.options:Analyse",
        "joint.analyse:analyse",
    ),
    "human-eval export": Verb(
        "generated text -> a page on which people compare it",
        "human_eval.options:Export",
        "human_eval.export:export",
        needs_fairseq=False,
    ),
    "human-eval qualify": Verb(
        "votes -> who can tell real text from generated",
        "human_eval.options:Qualify",
        "human_eval.qualification:qualification",
        needs_fairseq=False,
    ),
    "human-eval analyse": Verb(
        "votes -> which text people prefer",
        "human_eval.options:Count",
        "human_eval.votes:count",
        needs_fairseq=False,
    ),
    "report": Verb(
        "the records of all these -> one page",
        "reports.options:Report",
        "reports.report:report",
        needs_fairseq=False,
    ),
    "run": Verb(
        "a file of stages or of tables -> all of the above",
        "workflow.options:Run",
        "workflow.run:run_file",
        needs_fairseq=False,
    ),
}


def run(options: Options) -> Record:
    """Does the work, writes what the program would write, and returns the record."""
    verb = next(v for v in VERBS.values() if _is_of(options, v))
    if verb.needs_fairseq:
        register()
    with silence(getattr(options, "quiet", False)):
        try:
            record: Record = _imported(verb.work)(options)
        except Interrupted as interrupt:
            _deliver(options, interrupt.record)
            raise
        _deliver(options, record)
    return record


def _deliver(options: Any, record: Record) -> None:
    out = getattr(options, "out", None)
    if out is None or record["kind"] in UNWRITTEN:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, out)
    if isinstance(options, Drawing) and options.draw:
        _imported("reports.kinds:draw")(record, out)


def _is_of(options: Options, verb: Verb) -> bool:
    module, _, name = verb.options.partition(":")
    own = type(options)
    return own.__name__ == name and own.__module__ == f"{__package__}.{module}"


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f".{module}", __package__), name)


def public_name(name: str) -> Any:
    """What the package offers, imported when it is asked for."""
    places = {verb.options.partition(":")[2]: verb.options for verb in VERBS.values()}
    places = {**places, "JointModel": "joint.api:JointModel", "run": "verbs:run"}
    if name not in places:
        raise AttributeError(f"module '{__package__}' has no attribute '{name}'")
    if name == "JointModel":
        register()
    return _imported(places[name])
