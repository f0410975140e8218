"""The paper-scale recipes: their tiny sizes run to the end, and what they would run at the papers'
scale is understood by the programs, flag by flag."""

import json
import re
import runpy
import shutil
from pathlib import Path

import pytest
from fairseq import options

from fairseq_ebm import register, verbs
from fairseq_ebm.cli.main import verb_of
from fairseq_ebm.cli.parser import build_parser, parse
from fairseq_ebm.data.sources import SPLITS
from fairseq_ebm.detection.scorers import EnergyScorer, LanguageModelScorer
from fairseq_ebm.detection.tfidf import TfIdfScorer
from fairseq_ebm.errors import UserError
from fairseq_ebm.workflow.children import installed_programs
from fairseq_ebm.workflow.files import read_yaml
from fairseq_ebm.workflow.options import Run
from fairseq_ebm.workflow.plan import plan_of
from fairseq_ebm.workflow.recipe import stages_of as recipe_stages
from fairseq_ebm.workflow.run import run_file
from fairseq_ebm.workflow.runner import Runner
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow
EXAMPLES = CHECKOUT / "examples"
RECIPES = ("cc_news", "toronto_books", "wikitext103", "gpt2_output")
OTHERS = (
    "demo",
    "addition",
    "overfitting",
    "findings",
    "hugging_face",
    "formulas",
    "data_selection/small",
    "data_selection/paper",
    "gpu/bounds",
)  # at scales of their own
OF_THE_PAPER = ("wikitext103", "toronto_books")
MATRICES = (*OF_THE_PAPER, "findings")
PROGRAMS = installed_programs()


def path_of(name):
    return EXAMPLES / f"{name if '/' in name else f'{name}/{name}'}.yaml"


def stages_of(name, size, folder):
    path = path_of(name)
    return recipe_stages(path, read_yaml(path), folder, size)


def commands_of(name, size):
    return [stage.command for stage in stages_of(name, size, CHECKOUT / "runs" / name)]


def sizes():
    for name in (*RECIPES, *OTHERS):
        for size in read_yaml(path_of(name)).get("sizes", [None]):
            yield name, size


def matrix_commands(name):
    path = EXAMPLES / name / "matrix.yaml"
    plan = plan_of(path, read_yaml(path), CHECKOUT / "runs")
    return [stage.command for stage in plan.stages.values()]


def options_of(words):
    """The options of a verb or of an example's script, and the words that give them."""
    if words[0].endswith(".py"):
        return runpy.run_path(words[0])["Arguments"], words[1:]
    assert words[0] == "fairseq-ebm"
    name, rest = verb_of(list(words[1:]))
    return verbs.options_of(name), rest


def understood(command):
    """Parses as the program would; a wrong flag or value, or an unknown --arch, ends the test."""
    program, words = command[0], list(command[1:])
    register()  # as fairseq's programs would; here are only their parsers
    if program == "fairseq-train":
        return options.parse_args_and_arch(options.get_training_parser(), words)
    if program == "fairseq-generate":
        return options.parse_args_and_arch(options.get_generation_parser(), words)
    if program.endswith(("tiny.py", "correct.py")):  # have no flags
        return words
    asked, words = options_of(command)
    return parse(program, asked, words)


@pytest.mark.parametrize("name", RECIPES)
def test_tiny(name, tmp_path):
    """Every command of the recipe, on made text, to the report on one page."""
    run_file(Run(file=path_of(name), dest=tmp_path, size="tiny", jobs=2, quiet=True))
    states = [json.loads(path.read_text()) for path in tmp_path.glob(".stages/*.json")]
    assert len(states) == len(commands_of(name, "tiny")) and all(s["done"] for s in states)
    report = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    for record in json.loads((EXAMPLES / name / "paper.json").read_text()):
        assert record in report
        assert (tmp_path / "results" / record / f"{record}.json").exists()


FIGURES = {"eval-lm": {"joint_ppl"}}


def scorers_of(command):
    """The rows that a command of fairseq-ebm discriminate writes."""
    names = {"--path": EnergyScorer.names, "--lm": LanguageModelScorer.names}
    names["--tfidf"] = names["--tfidf-from"] = TfIdfScorer.names
    return {name for flag in names if flag in command for name in names[flag]}


@pytest.mark.parametrize("name", RECIPES)
def test_every_published_figure_has_a_row_of_its_own_scorer(name):
    commands = {c[c.index("--results-path") + 1]: c for c in commands_of(name, "paper")
                if "--results-path" in c}  # fmt: skip
    by_record = {Path(out).stem: command for out, command in commands.items()}
    for record, figures in json.loads((EXAMPLES / name / "paper.json").read_text()).items():
        command = by_record[record]
        assert figures.keys() <= (FIGURES.get(command[1]) or scorers_of(command)), record


@pytest.mark.parametrize(("name", "size"), list(sizes()))
def test_every_size_is_understood(name, size):
    for command in commands_of(name, size):
        assert not re.search(r"[{}]", " ".join(command)), command
        understood(command)


@pytest.mark.parametrize("name", RECIPES)
def test_tiny_leaves_no_command_of_the_papers_out(name):
    def programs(size):
        return [c[:2] if c[0] == "fairseq-ebm" else c[:1] for c in commands_of(name, size)]

    tiny = programs("tiny")
    for program in programs("paper"):
        tiny.remove(program)  # ValueError: it is not there, or not as often


@pytest.mark.parametrize("name", MATRICES)
def test_matrices_are_understood(name):
    for command in matrix_commands(name):
        understood(command)


def readme_commands(name):
    """Indented lines, joined where they end in a backslash, as words; a launcher's come before.
    A launcher runs ours as a module."""
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\\\n\s*", "", text).replace("-m fairseq_ebm", "fairseq-ebm")
    for line in text.splitlines():
        words = re.sub(r"\$\(which ([\w-]+)\)", r"\1", line).replace(".venv/bin/", "").split()
        programs = [word for word in words if word in PROGRAMS and "fairseq" in word]
        if line.startswith("    ") and programs:
            yield words[words.index(programs[0]) :]


def flags_of(words):
    if words[0] in ("fairseq-train", "fairseq-preprocess"):
        of = {"train": options.get_training_parser, "preprocess": options.get_preprocessing_parser}
        return of[words[0][8:]]()._option_string_actions
    return build_parser(words[0], options_of(words)[0])._option_string_actions


@pytest.mark.parametrize("name", RECIPES)
def test_commands_of_the_readme(name):
    checked = 0
    for words in readme_commands(name):
        known = flags_of(words)
        for word in words:
            assert not word.startswith("--") or word in known, (words[0], word)
            assert not word.startswith("examples/") or (CHECKOUT / word).exists(), word
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("name", RECIPES)
def test_links_of_the_readme(name):
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text):
        path = (EXAMPLES / name / (target or "README.md")).resolve()
        assert path.exists(), target
        headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
        slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in headings}
        assert not anchor or anchor in slugs, anchor


def test_a_checkout_whose_path_has_spaces(tmp_path):
    folder = tmp_path / "check out"
    shutil.copytree(EXAMPLES / "cc_news", folder)
    path = folder / "cc_news.yaml"
    stages = recipe_stages(path, read_yaml(path), tmp_path, "tiny")
    assert stages[0].command == (str(folder / "tiny.py"), str(tmp_path / "raw"))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (" = Robert Boulter = \n", "=Robert Boulter="),
        (" = = Career = = \n", "==Career=="),
        (" \n", ""),
        (
            ' an English film , television and theatre actor . " Herons " , at 1 @,@ 500 @.@ 5 m',
            'an English film, television and theatre actor. "Herons", at 1,500.5 m',
        ),
        (" Boulter 's film didn 't ( 2005 ) co @-@ star ", "Boulter's film didn't (2005) co-star"),
    ],
)
def test_wikitext_as_running_text(line, text):
    assert detokenizer()["detokenize"](line) == text


def detokenizer():
    return runpy.run_path(str(EXAMPLES / "wikitext103" / "detokenize.py"))


def prepared(tmp_path, name, *flags):
    """What an example's prepare.py writes of tmp_path / "raw", by split."""
    script = runpy.run_path(str(EXAMPLES / name / "prepare.py"))
    words = [tmp_path / "raw", tmp_path / "text", "--quiet", *flags]
    script["main"](parse("prepare.py", script["Arguments"], list(map(str, words))))
    return {split: (tmp_path / "text" / f"{split}.txt").read_text() for split in SPLITS}


def test_news_without_doubles_and_other_languages(tmp_path):
    (tmp_path / "raw").mkdir()
    lines = [{"text": f"Article\n {n}", "language": "en"} for n in range(300)]
    lines += [{"text": "Article 7"}, {"text": "Artikel", "language": "de"}, {"text": " "}]
    (tmp_path / "raw" / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = prepared(tmp_path, "cc_news", "--valid", 100000, "--test", 200000)
    articles = [line for text in found.values() for line in text.splitlines()]
    assert sorted(articles) == sorted(f"Article {n}" for n in range(300))
    assert 15 < found["valid"].count("\n") < 45 < found["test"].count("\n") < 80
    (tmp_path / "raw" / "b.jsonl").write_text('{"words": 1}')
    with pytest.raises(UserError, match=r'b.jsonl: line 1 is not a JSON object with "text"'):
        prepared(tmp_path, "cc_news")


def test_stretches_of_books_stay_together(tmp_path):
    (tmp_path / "raw" / "more").mkdir(parents=True)
    for book in ("a.txt", "more/b.txt"):
        (tmp_path / "raw" / book).write_text("".join(f"{book} {n}\n" for n in range(95)))
    flags = ["--stretch", 10, "--valid", 200000, "--test", 200000]
    found = prepared(tmp_path, "toronto_books", *flags)
    lines = [line for text in found.values() for line in text.splitlines()]
    assert sorted(lines) == sorted(
        f"{book} {n}" for book in ("a.txt", "more/b.txt") for n in range(95)
    )
    for text in found.values():
        stretches = {}
        for line in text.splitlines():
            book, number = line.split()
            stretches.setdefault((book, int(number) // 10), []).append(int(number))
        for (_, which), numbers in stretches.items():
            assert numbers == list(range(10 * which, min(10 * which + 10, 95)))
    with pytest.raises(UserError, match=r"no \*.txt in it"):
        (tmp_path / "raw").rename(tmp_path / "books")
        (tmp_path / "raw").mkdir()
        prepared(tmp_path, "toronto_books")


TRAINING = {
    "optimizer": "adam", "lr": 0.001, "max-update": 2, "num-workers": 0, "batch-size": 4,
    "batch-size-valid": 64, "no-epoch-checkpoints": True, "save-interval-updates": 2,
    "patience": 5, "validate-interval": 1000000, "keep-interval-updates": 1,
}  # fmt: skip
TRANSFORMER = {
    "decoder-layers": 1, "decoder-embed-dim": 16, "decoder-ffn-embed-dim": 32,
    "decoder-attention-heads": 2,
}  # fmt: skip
SHAPES = {
    "transformer": TRANSFORMER,
    "energy_transformer": TRANSFORMER,
    "fconv": {"decoder-layers": "[(16, 3)]", "decoder-embed-dim": 16},
    "energy_bilstm": {"encoder-layers": 1, "encoder-embed-dim": 16, "encoder-hidden-size": 16},
    "energy_linear": {},
}
KEPT = ("arch", "seed", "criterion", "init-from-generator")


def tiny(model):
    """The same family, what it starts from and its seed; small, and trained for an instant."""
    (shape,) = (s for name, s in SHAPES.items() if model["arch"].startswith(name))
    more = {"tokens-per-sample": 16} if "criterion" not in model else {}
    return {**{k: model[k] for k in KEPT if k in model}, **shape, **TRAINING, **more}


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_tables_of_a_matrix(name, tmp_path):
    """All of its tables and findings, with tiny models on made text."""
    content = read_yaml(EXAMPLES / name / "matrix.yaml")
    steps = stages_of(name, "tiny", tmp_path)[:2]  # raw, text
    Runner(tmp_path, steps, 1, quiet=True).run()
    files = {split: str(tmp_path / "text" / f"{split}.txt") for split in SPLITS}
    content["corpora"] = {corpus: {**files, "vocab-size": 500} for corpus in content["corpora"]}
    content["windows"].update(
        {"window": 16, "stride": 16, "prefix-length": "8,12", "num-negatives": 3, "max-windows": 24}
    )
    for section in ("generators", "energies"):
        content[section] = {key: tiny(model) for key, model in content[section].items()}
    for table in content["tables"].values():
        for column in table["columns"].values():
            if isinstance(column, dict):
                column["prefix-length"] = {120: 8, 140: 12}[column["prefix-length"]]
    path = tmp_path / "matrix.yaml"
    path.write_text(json.dumps(content))  # JSON is YAML
    run_file(Run(file=path, dest=tmp_path / "run", jobs=2, cpu=True, quiet=True))
    report = json.loads((tmp_path / "run" / "matrix.json").read_text())
    assert list(report["tables"]) == list(content["tables"])
    assert len(report["findings"]) == len(content["findings"])
