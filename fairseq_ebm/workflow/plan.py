"""What a matrix asks for, as stages and cells of tables."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..errors import UserError
from .files import Names, section
from .inputs import PACKAGE
from .stages import Stage

SECTIONS = ("corpora", "generators", "stores", "energies", "tables")
# By the language model that training saw, as in the second paper ...
OF_TRAINING = ("log_likelihood_whole",)
# ... by the one that wrote what is judged, which knows it best, and by none.
BY_AUTHOR = (
    "log_likelihood",
    "log_rank",
    "entropy",
    "lrr",
    "fast_detectgpt",
    "min_k",
    "min_k_plus_plus",
)
BASELINES = (*OF_TRAINING, *BY_AUTHOR, "tfidf")
BACKWARDS = "right_to_left_language_modeling"

Words = Sequence[Any]
Pair = Tuple[Tuple[str, ...], Tuple[str, ...]]  # two cells, each (table, row, column)
Claim = Tuple[str, List[Pair]]


class Cell(NamedTuple):
    """``report``: a file of ``fairseq-ebm discriminate``, within the folder of the run; ``scorer``:
    its row there, of all windows or of those with so long a prefix."""

    report: str
    scorer: str
    prefix_length: Optional[int] = None


def plan_of(path: Path, content: Names, folder: Path, cpu: bool = False) -> "Plan":
    for name in SECTIONS:
        section(path, content, name, needed=True)
    try:
        return Plan(content, folder, cpu)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: something is missing or misplaced: {error!r}") from None


class Plan:
    """``stages``: each after what it needs. ``tables``: by title, row and column. ``claims``:
    sentences, each with pairs of cells of which the first is higher.

    Cells ask for stages, so that nothing is made that no table shows. Each method that adds one
    returns its name."""

    def __init__(self, content: Names, folder: Path, cpu: bool) -> None:
        self.content, self.folder, self.common = content, folder, {"cpu": True} if cpu else {}
        self.stages: Dict[str, Stage] = {}
        self.tables: Dict[str, Dict[str, Dict[str, Cell]]] = {}
        self.claims: List[Claim] = []
        for title, table in self.content["tables"].items():
            if not table["columns"] or not table["rows"]:
                raise UserError(f"tables: {title}: has no columns or no rows")
            self.tables[str(title)] = {
                str(label): {
                    str(head): self._cell(spec, column, f"{title}, {label}")
                    for head, column in table["columns"].items()
                }
                for label, spec in table["rows"].items()
            }
        for sentence, pairs in (self.content.get("findings") or {}).items():
            self.claims.append((str(sentence), [self._pair(sentence, p) for p in pairs]))

    def _pair(self, sentence: str, pair: Sequence[Sequence[Any]]) -> Pair:
        if len(pair) != 2 or any(len(cell) != 3 for cell in pair):
            raise UserError(f"findings: {sentence}: not pairs of [table, row, column]: {pair}")
        for title, label, head in (map(str, cell) for cell in pair):
            if head not in self.tables.get(title, {}).get(label, {}):
                raise UserError(f"findings: {sentence}: no cell [{title}, {label}, {head}]")
        higher, lower = (tuple(map(str, cell)) for cell in pair)
        return higher, lower

    def _cell(self, spec: Names, column: Any, where: str) -> Cell:
        """``column``: the name of a store, or {store: …, prefix-length: …}"""
        store = column if isinstance(column, str) else column["store"]
        length = None if isinstance(column, str) else int(column["prefix-length"])
        scorer = spec.get("scorer", "energy")
        flags: Dict[str, Any]
        if scorer == "energy":
            judge, tested = self._energy(spec, store), self._store(store, tested=True)
            name, flags = judge.partition("/")[2], {"path": self._checkpoint(judge)}
            needs = judge, tested
        elif scorer in BASELINES:
            tested = self._store(store, tested=True)
            name, flags, judge = self._baseline(scorer, store)
            needs = tested, judge
        else:
            raise UserError(f"{where}: no scorer {scorer}; there are {', '.join(BASELINES)}")
        name = f"{name}@{store}"
        # The file is called as the folder is: pages name records by their files.
        report = f"reports/{name}/{PurePosixPath(name).name}.json"
        flags = {**flags, **self.common, **self.content.get("judging", {})}
        flags["results-path"] = self.folder / report
        command = ("fairseq-ebm", "discriminate", self.folder / tested)
        self._add(f"reports/{name}", f"judging: {name}", command, flags, needs)
        return Cell(report, scorer, length)

    def _baseline(self, scorer: str, store: str) -> Tuple[str, Dict[str, Path], str]:
        """What it is called in reports, its flag, and the stage that makes what that names."""
        if scorer == "tfidf":
            made = self._store(store)
            return scorer, {"tfidf-from": self.folder / made}, made
        spec, of_training = self._of("stores", store), scorer in OF_TRAINING
        made = self._generator(_author(spec, tested=not of_training), spec)
        name = "training-lm" if of_training else "lm"
        return name, {"lm": self._checkpoint(made)}, made

    def _energy(self, spec: Names, store: str) -> str:
        shape, trained = spec["energy"], spec.get("train") or [store]
        flags = {**self._of("energies", shape), **spec.get("with", {})}
        more = "".join(f"+{name}-{value}" for name, value in spec.get("with", {}).items())
        needs = [self._store(each) for each in trained]
        start = flags.pop("init-from-generator", None)
        if start is not None:
            needs.append(self._generator(start, self._of("stores", trained[0])))
            flags["init-from"] = self._checkpoint(needs[-1])
        name = f"energies/{shape}+{'+'.join(trained)}{more}"
        title = f"energy {shape} on {', '.join(trained)}{more}"
        stores = ":".join(str(self.folder / each) for each in needs[: len(trained)])
        flags = {"task": "real_fake_discrimination", **flags}
        return self._train(name, title, stores, flags, needs)

    def _store(self, name: str, tested: bool = False) -> str:
        """A store for training, with subsets train and valid; or for tests, with valid and test."""
        store = self._of("stores", name)
        generator = _author(store, tested)
        corpus, lm = self._corpus(store["corpus"]), self._generator(generator, store)
        flags = {**self.content.get("windows", {}), **store.get("with", {})}
        if self._of("generators", generator).get("task") == BACKWARDS:
            flags["right-to-left"] = True
        flags["subsets"] = "valid,test" if tested else "train,valid"
        out = f"stores/{name}{'.test' if tested else ''}"
        flags = {"path": self._checkpoint(lm), "dest": self.folder / out, **flags, **self.common}
        command = ("fairseq-ebm", "negatives", self.folder / corpus)
        return self._add(out, f"negatives {out[7:]}", command, flags, (corpus, lm))

    def _generator(self, name: str, store: Names) -> str:
        corpus, trained = self._corpus(store["corpus"]), f"models/{name}-{store['corpus']}"
        flags = {"task": "language_modeling", **self._of("generators", name)}
        title = f"language model {name} on {store['corpus']}"
        return self._train(trained, title, str(self.folder / corpus), flags, (corpus,))

    def _train(self, name: str, title: str, data: str, given: Names, needs: Words) -> str:
        flags = {"user-dir": PACKAGE, "save-dir": self.folder / name, **given}
        flags.update({"log-format": "simple", **self.common})
        return self._add(name, title, ("fairseq-train", data), flags, needs)

    def _checkpoint(self, stage: str) -> Path:
        return self.folder / stage / "checkpoint_best.pt"

    def _corpus(self, name: str) -> str:
        flags, needs = dict(self._of("corpora", name)), []
        if "vocab-from" in flags:
            needs.append(self._corpus(flags["vocab-from"]))
            flags["vocab-from"] = self.folder / needs[0]
        flags["dest"] = self.folder / "data" / name
        command = ("fairseq-ebm", "prepare")
        return self._add(f"data/{name}", f"text {name}", command, flags, needs)

    def _add(self, name: str, title: str, command: Words, flags: Names, needs: Words) -> str:
        words = *map(str, command), *as_flags(flags)
        stage = Stage(name, title, words, tuple(needs))
        if self.stages.setdefault(name, stage) != stage:
            raise UserError(f"two different things would be called {name}; name them otherwise")
        return name

    def _of(self, section: str, name: str) -> Dict[str, Any]:
        found = self.content[section].get(name)
        if not isinstance(found, dict):
            there = ", ".join(map(str, self.content[section]))
            raise UserError(f"{section}: there is no {name}, but {there}")
        return found


def _author(store: Names, tested: bool) -> str:
    """The generator of what is trained on, or tested on."""
    return store.get("test-generator" if tested else "generator", store["generator"])


def as_flags(options: Names) -> List[str]:
    """{"arch": "x", "cpu": True, "train": ["a", "b"]} -> ["--arch", "x", "--cpu", "--train", …]"""
    words: List[str] = []
    for name, value in options.items():
        if value is not False and value is not None:
            words.append(f"--{name}")
            if value is not True:
                words += map(str, value if isinstance(value, list) else [value])
    return words
