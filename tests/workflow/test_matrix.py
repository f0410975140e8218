"""Matrices from nothing, on sums; interrupts, and files that change."""

import contextlib
import io
import json
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
import yaml

from fairseq_ebm.errors import UserError
from fairseq_ebm.reports.terminal import shown
from fairseq_ebm.workflow import matrix
from fairseq_ebm.workflow.options import Run
from fairseq_ebm.workflow.plan import Cell, as_flags, plan_of
from fairseq_ebm.workflow.run import run_file
from fairseq_ebm.workflow.runner import Runner

TRAINING = {
    "optimizer": "adam", "lr": 0.02, "max-update": 5, "num-workers": 0, "seed": 1,
    "no-epoch-checkpoints": True,
}  # fmt: skip
LM = {
    "arch": "transformer_lm", "decoder-layers": 1, "decoder-embed-dim": 16,
    "decoder-input-dim": 16, "decoder-output-dim": 16, "decoder-ffn-embed-dim": 32,
    "decoder-attention-heads": 2, "tokens-per-sample": 64, "batch-size": 16, **TRAINING,
}  # fmt: skip
LINEAR = {"arch": "energy_linear", "criterion": "conditional_nce", "batch-size": 64, **TRAINING}
MATRIX = {
    "corpora": {"sums": {"corpus": "addition", "digits": 2}},
    "windows": {
        "window": 10, "stride": 10, "prefix-length": "4,6", "num-negatives": 2, "max-windows": 200,
        "sampling-topk": 5,
    },
    "generators": {
        "one": LM,
        "two": {**LM, "seed": 2},
        "back": {**LM, "task": "right_to_left_language_modeling"},
    },
    "stores": {
        "plain": {"corpus": "sums", "generator": "one", "test-generator": "two"},
        "backwards": {"corpus": "sums", "generator": "back"},
    },
    "energies": {"linear": LINEAR},
    "tables": {
        "cross": {
            "columns": {"left": "plain", "right": "backwards"},
            "rows": {
                "both": {"energy": "linear", "train": ["plain", "backwards"]},
                "worst": {
                    "energy": "linear", "train": ["plain"],
                    "with": {"negatives-per-positive": 2, "hard-negatives": True},
                },
                "rank": {"scorer": "log_rank"},
            },
        },
        "length": {
            "columns": {"six": {"store": "plain", "prefix-length": 4}},
            "rows": {"own": {"energy": "linear"}},
        },
    },
    "findings": {"a claim": [[["cross", "both", "left"], ["cross", "rank", "left"]]]},
}  # fmt: skip


def write(path, content):
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def make(file, dest):
    """In this process, whose server of forks is there already: the record, and what was printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        record = run_file(Run(file=file, dest=dest, jobs=2, cpu=True))
    return record, out.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a matrix")
    file = write(folder / "matrix.yaml", MATRIX)
    return folder, *make(file, folder / "run")


def test_every_cell_is_there(made):
    folder, record, printed = made
    report = json.loads((folder / "run" / "matrix.json").read_text())
    assert report == record and report["kind"] == "matrix"
    assert set(report["tables"]["cross"]) == {"both", "worst", "rank"}
    for rows in report["tables"].values():
        for row in rows.values():
            for cell in row.values():
                low, high = cell["accuracy_ci95"]
                assert 0 <= low <= cell["accuracy"] <= high <= 1 and cell["n_real"] <= 200
                assert (folder / "run" / cell["report"]).is_file()
    six = report["tables"]["length"]["own"]["six"]
    assert 50 < six["n_real"] < 150  # half of the windows
    text = (folder / "run" / "matrix.md").read_text()
    assert f"written: {folder / 'run' / 'matrix.json'}" in printed
    for words in (text, shown(record)):
        assert "cross. Accuracy, " in words and "rank" in words and "a claim" in words
    (finding,) = report["findings"]
    higher, lower = (report["tables"]["cross"][row]["left"] for row in ("both", "rank"))
    assert finding["pairs"] == [[higher["accuracy"], lower["accuracy"]]]
    apart = higher["accuracy_ci95"][0] > lower["accuracy_ci95"][1]
    ahead = higher["accuracy"] > lower["accuracy"]
    verdict = "found" if apart else "found, intervals overlap" if ahead else "not found"
    assert finding["verdict"] == verdict


def test_cells_carry_the_versions_that_made_them(made, tmp_path):
    cell = Cell("report.json", "energy")
    report = made[0] / "run" / made[1]["tables"]["length"]["own"]["six"]["report"]
    assert report.name == "linear+plain@plain.json"
    content = json.loads(report.read_text())
    content["provenance"]["versions"] = {"fairseq_ebm": "0.0.1"}
    (tmp_path / "report.json").write_text(json.dumps(content))
    assert matrix.result(tmp_path, cell)["versions"] == {"fairseq_ebm": "0.0.1"}
    written = json.loads((made[0] / "run" / "matrix.json").read_text())
    assert written["tables"]["length"]["own"]["six"]["versions"]["torch"] == torch.__version__
    assert list(written["provenance"]) == ["matrix"]


def test_a_changed_corpus(tmp_path):
    content = json.loads(json.dumps(MATRIX))
    texts = {split: str(tmp_path / f"{split}.txt") for split in ("train", "valid", "test")}
    content["corpora"]["sums"] = texts

    def fingerprints():
        plan = plan_of(tmp_path / "matrix.yaml", content, tmp_path / "run")
        return Runner(tmp_path / "run", list(plan.stages.values()), 1, True).fingerprints

    for path in texts.values():
        Path(path).write_text("a text")
    before = fingerprints()
    assert fingerprints() == before
    Path(texts["valid"]).write_text("another")
    after = fingerprints()
    assert all(after[name] != before[name] for name in before)  # all depend on it


def test_the_papers_conditions(made):
    """Test stores come from the other generator; the hardest negatives, a union, both ways."""
    run = made[0] / "run"
    manifests = {
        path.parent.name: json.loads(path.read_text())
        for path in run.glob("stores/*/manifest.json")
    }
    assert set(manifests) == {"plain", "plain.test", "backwards", "backwards.test"}
    one, two = (manifests[n]["source"]["language_model"]["sha256"] for n in ("plain", "plain.test"))
    assert one != two
    assert set(manifests["plain"]["subsets"]) == {"train", "valid"}
    assert set(manifests["plain.test"]["subsets"]) == {"test", "valid"}
    assert manifests["backwards"]["options"]["right_to_left"]
    commands = {p.stem: json.loads(p.read_text())["command"] for p in run.glob(".stages/*.json")}
    (worst,) = (
        c for name, c in commands.items() if "hard-negatives" in name and "energies" in name
    )
    assert "--hard-negatives" in worst
    (union,) = (
        c for name, c in commands.items() if unquote(name) == "energies/linear+plain+backwards"
    )
    assert union[1].count(":") == 1


def test_what_is_done_stays_and_what_changed_is_rebuilt(made, tmp_path):
    shutil.copytree(made[0] / "run", tmp_path / "run")
    # as if killed: begun, a part of it there
    state = next((tmp_path / "run" / ".stages").glob("reports%2Flinear%2Bplain%40plain.json"))
    state.write_text(state.read_text().replace('"done": true', '"done": false'))
    changed = json.loads(json.dumps(MATRIX))
    changed["energies"]["linear"]["lr"] = 0.01
    file = write(tmp_path / "matrix.yaml", MATRIX)
    _, printed = make(file, tmp_path / "run")
    assert printed.count("done in") == 1
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("checkpoint_best.pt")}
    make(write(file, changed), tmp_path / "run")
    for path, time in before.items():
        assert (path.stat().st_mtime_ns == time) == ("models" in path.parts), path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("stores"), "has no section stores"),
        (lambda m: m.update(stores=["a"]), "stores: names with their settings are wanted, not a"),
        (lambda m: m["tables"]["cross"].update(rows={}), "cross: has no columns or no rows"),
        (lambda m: m.update(findings=["x"]), "missing or misplaced"),
        (
            lambda m: m["tables"]["length"]["columns"]["six"].update({"prefix-length": "4,6"}),
            "missing or misplaced",
        ),
        (
            lambda m: (
                m["stores"].update({"plain.test": m["stores"]["plain"]})
                or m["tables"]["length"]["columns"].update(x="plain.test")
            ),
            "two different things would be called stores/plain.test",
        ),
        (lambda m: m["stores"]["plain"].update(generator="three"), "generators: there is no three"),
        (lambda m: m["tables"]["cross"]["rows"].update(x={"scorer": "y"}), "no scorer y"),
        (lambda m: m["stores"]["plain"].pop("corpus"), "missing or misplaced: KeyError('corpus')"),
        (
            lambda m: m["findings"].update(
                x=[[["cross", "both", "no"], ["cross", "rank", "left"]]]
            ),
            "findings: x: no cell [cross, both, no]",
        ),
    ],
)
def test_files_that_are_wrong(run_program, tmp_path, change, words):
    content = json.loads(json.dumps(MATRIX))
    change(content)
    file = write(tmp_path / "matrix.yaml", content)
    done = run_program("fairseq-ebm run", file, "--dest", tmp_path / "run")
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_stage_that_fails(tmp_path):
    content = json.loads(json.dumps(MATRIX))
    content["generators"]["one"]["arch"] = "no_such_arch"
    file = write(tmp_path / "matrix.yaml", content)
    with pytest.raises(UserError, match=r"language model.*no_such_arch"):
        make(file, tmp_path / "run")


def test_flags():
    options = {"arch": "x", "cpu": True, "fp16": False, "train": ["a", "b"], "lr": 0.1, "no": None}
    assert as_flags(options) == ["--arch", "x", "--cpu", "--train", "a", "b", "--lr", "0.1"]


def test_flags_of_judging():
    content = {**MATRIX, "judging": {"max-windows": 7}}
    plan = plan_of(Path("matrix.yaml"), content, Path("/run"), cpu=True)
    commands = [" ".join(stage.command) for stage in plan.stages.values()]
    judged = [each for each in commands if each.startswith("fairseq-ebm discriminate")]
    assert judged and all("--cpu --max-windows 7 --results-path" in each for each in judged)


def test_a_dry_run(tmp_path):
    file = write(tmp_path / "matrix.yaml", MATRIX)
    record = run_file(Run(file=file, dest=tmp_path / "run", dry_run=True))
    assert record["kind"] == "run" and not record["done"] and not (tmp_path / "run").exists()
    assert record["commands"][0].startswith("# text sums\nfairseq-ebm prepare --corpus addition")


def accuracy(value, low, high):
    return {"accuracy": value, "accuracy_ci95": [low, high]}


def test_findings():
    cells = {"a": accuracy(0.9, 0.85, 0.95), "b": accuracy(0.8, 0.75, 0.86)}
    cells["c"] = accuracy(0.6, 0.5, 0.7)

    def verdict(*pairs):
        named = [tuple(("t", "r", head) for head in pair) for pair in pairs]
        (finding,) = matrix.findings({"t": {"r": cells}}, [("it is", named)])
        first, second = pairs[0]
        assert finding["pairs"][0] == [cells[first]["accuracy"], cells[second]["accuracy"]]
        return finding["verdict"]

    assert verdict("ac", "bc") == "found"
    assert verdict("ac", "ab") == "found, intervals overlap"
    assert verdict("ac", "cb") == "not found"
