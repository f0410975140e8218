"""Recipes: words, sizes, what is skipped and what is rebuilt."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fairseq_ebm.errors import OptionError, UserError
from fairseq_ebm.workflow import children, inputs
from fairseq_ebm.workflow.options import Run
from fairseq_ebm.workflow.run import run_file
from fairseq_ebm.workflow.running import Running
from fairseq_ebm.workflow.stages import Stage, depths, threads_of
from tests.conftest import heed_interrupts

WRITE = """import json, sys, time
folder, wait, *words = sys.argv[1:]
time.sleep(float(wait))
json.dump(words + [time.time_ns()], open(f"{folder}/out.json", "w"))
print("written", *words)
"""

RECIPE = {
    "words": {"write": "{here}/write.py", "wait": 0, "who": "nobody", "say": "hello {who}"},
    "sizes": {"small": {"who": "a dwarf"}, "big": {"who": "a giant", "wait": 0}},
    "stages": {
        "first": {"title": "the first", "run": "{write} {first} {wait} {say}"},
        "deep/second": {"run": "{write} {deep/second} {wait} {first}/out.json"},
        "third": {"run": "{write} {third} {wait} alone"},
        "fourth": {"run": "{write} {fourth} 0 tall", "only": ["big", "huge"]},
    },
}


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "a recipe").mkdir()
    (tmp_path / "a recipe" / "write.py").write_text(WRITE)
    content = json.loads(json.dumps(RECIPE))
    return write(tmp_path / "a recipe" / "recipe.yaml", content), content


def write(path, content):
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture
def follow(recipe, tmp_path, capsys):
    """In this process, whose server of forks is there already; what was printed."""

    def run(**options):
        run_file(Run(file=recipe[0], dest=tmp_path / "made here", **options))
        return capsys.readouterr().out

    return run


def made(tmp_path):
    """By the last part of a stage's name, what it has written."""
    paths = (tmp_path / "made here").rglob("out.json")
    return {p.parent.name: json.loads(p.read_text()) for p in paths}


def test_stages_in_their_order(follow, tmp_path):
    printed = follow(size="small", jobs=2)
    found = made(tmp_path)
    assert set(found) == {"first", "second", "third"}
    assert found["first"][:-1] == ["hello", "a", "dwarf"]
    assert found["second"][0] == str(tmp_path / "made here" / "first" / "out.json")
    assert found["second"][-1] > found["first"][-1]
    assert "[1/3] the first\n" in printed and "[1/3] the first: done in 0:" in printed
    state = json.loads((tmp_path / "made here" / ".stages" / "first.json").read_text())
    assert state["done"] is True and 0 < state["seconds"] < 60
    assert "written alone" in (tmp_path / "made here" / "third.log").read_text()


def test_only_what_changed_is_rebuilt(follow, recipe, tmp_path):
    follow(size="small")
    before = made(tmp_path)
    follow(size="small")
    assert made(tmp_path) == before
    follow(size="big")
    after = made(tmp_path)
    assert after["third"] == before["third"] and "fourth" in after
    assert after["first"][:-1] == ["hello", "a", "giant"]
    assert after["second"] != before["second"]  # needs the first
    path = recipe[0]
    (path.parent / "write.py").write_text(WRITE + "# another program\n")
    follow(size="big")
    assert made(tmp_path)["third"] != before["third"]


@pytest.mark.parametrize("how", ["{here}/a.txt", "--paper={here}/a.txt", "{first}:{here}/a.txt"])
def test_a_changed_file_rebuilds_its_stage(follow, recipe, tmp_path, how):
    path, content = recipe
    (path.parent / "a.txt").write_text("one")
    content["stages"]["deep/second"]["run"] += f" {how}"
    write(path, content)
    follow()
    before = made(tmp_path)
    follow()
    assert made(tmp_path) == before
    (path.parent / "a.txt").write_text("two")
    follow()
    after = made(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"second"}


@pytest.mark.parametrize("which", [0, 1, 2])
def test_another_version_rebuilds_everything(follow, tmp_path, monkeypatch, which):
    """Of fairseq_ebm, fairseq or torch."""
    follow()
    before = made(tmp_path)
    others = inputs.versions()
    others[which] = "0.0"
    monkeypatch.setattr(inputs, "versions", lambda: others)
    follow()
    after = made(tmp_path)
    assert all(after[name] != before[name] for name in before)


def test_threads_do_not_depend_on_what_happens_to_run():
    def stage(name, *needs):
        return Stage(name, name, ("run",), needs)

    stages = [stage("a"), stage("b", "a"), stage("c", "b"), stage("d", "b"), stage("e", "c", "d")]
    assert threads_of(stages, 2) == {"a": None, "b": None, "c": 1, "d": 1, "e": None}
    assert set(threads_of(stages, 1).values()) == {None}
    assert threads_of([*stages, stage("alone")], 2) == {name: 1 for name in [*"abcde", "alone"]}


def test_the_longest_chain_begins_first():
    def stage(name, *needs):
        return Stage(name, name, ("run",), needs)

    stages = [stage("a"), stage("b", "a"), stage("c"), stage("d", "c"), stage("e", "b", "d")]
    assert depths(stages) == {"a": 2, "b": 1, "c": 2, "d": 1, "e": 0}
    assert depths([stage("x"), stage("y"), stage("z", "y")]) == {"x": 0, "y": 1, "z": 0}


def test_the_order_of_stages(follow, recipe):
    """A stage that another needs begins before one that none needs."""
    path, content = recipe
    content["stages"] = {
        "alone": {"run": "{write} {alone} 0"},
        "below": {"run": "{write} {below} 0"},
        "above": {"run": "{write} {above} 0 {below}"},
    }
    write(path, content)
    assert re.findall(r"\] (\w+)\n", follow()) == ["below", "alone", "above"]


def test_the_threads_of_stages(follow, recipe, monkeypatch):
    path, content = recipe
    content["stages"] = {
        "first": {"run": "{write} {first} 0"},
        "one": {"run": "{write} {one} 0 {first}"},
        "other": {"run": "{write} {other} 0 {first}"},
    }
    write(path, content)
    given, start = {}, children.start

    def told(command, log, threads):
        given[log.name] = threads
        return start(command, log, threads)

    monkeypatch.setattr(children, "start", told)
    follow(jobs=2)
    assert given == {"first.log": None, "one.log": 1, "other.log": 1}


def test_where_it_is_computed_changes_nothing(follow, recipe, tmp_path):
    follow()
    before = made(tmp_path)
    path, content = recipe
    content["stages"]["third"]["run"] += " --cpu"
    write(path, content)
    follow()
    assert made(tmp_path) == before


def test_the_last_line_of_a_log(tmp_path):
    log = tmp_path / "log"
    running = Running(Stage("a", "a title", (sys.executable,)), "[1/2]", log, None)
    running.process.kill()
    running.process.join()
    log.write_text("")
    assert (running.last_line(), running.stage.title) == ("", "a title")
    log.write_text("first\nsome\r 3 of 9\r\n \n")
    assert running.last_line() == "3 of 9"
    log.write_text("2026-11-21 15:01:25 | INFO | train_inner | epoch 001: 9 / 10\n")
    assert running.last_line() == "epoch 001: 9 / 10"


def test_dry_run(recipe, tmp_path):
    record = run_file(Run(file=recipe[0], dest=tmp_path / "x", size="big", dry_run=True))
    assert record["kind"] == "run" and not record["done"] and not (tmp_path / "x").exists()
    assert len(record["commands"]) == 4 and "hello a giant" in record["commands"][0]
    assert all(command.startswith("# ") for command in record["commands"])


def test_a_dry_run_is_not_quiet(recipe, tmp_path):
    with pytest.raises(OptionError, match=r"^dry_run: .*quiet nothing"):
        Run(file=recipe[0], dest=tmp_path / "x", quiet=True, dry_run=True)
    with pytest.raises(OptionError, match=r"^dest: .* is a file, not a folder"):
        Run(file=recipe[0], dest=recipe[0])


def test_the_record(recipe, tmp_path, capsys):
    record = run_file(Run(file=recipe[0], dest=tmp_path / "x", quiet=True))
    assert record == {"kind": "run", "folder": str(tmp_path / "x"), "done": True, "pages": []}
    assert capsys.readouterr() == ("", "")


def begun(path, folder, stage):
    """The program at work in that stage, as a process of its own."""
    command = [sys.executable, "-m", "fairseq_ebm", "run", path, "--dest", folder]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    log = folder / f"{stage}.log"
    deadline = time.monotonic() + 90
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert log.exists()
    return process


def test_an_interrupt_says_how_to_go_on(recipe, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Running, "report", interrupted)
    recipe[1]["stages"]["first"]["run"] = "{write} {first} 60"
    write(*recipe)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        run_file(Run(file=recipe[0], dest=tmp_path / "x"))


def test_an_interrupt_and_resuming(follow, recipe, tmp_path):
    """Ctrl-C ends what runs; what was done stays, and what was begun goes on in its folder."""
    path, content = recipe
    content["stages"]["third"]["run"] = "{here}/slow.py {third} {deep/second}"
    (path.parent / "slow.py").write_text(
        "import pathlib, sys, time\n"
        "begun = pathlib.Path(sys.argv[1]) / 'begun'\n"
        "begun.exists() or begun.write_text('x') and time.sleep(60)\n"
    )
    write(path, content)
    folder = tmp_path / "made here"
    process = begun(path, folder, "third")
    deadline = time.monotonic() + 30
    while not (folder / "third" / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    states = {p.stem: json.loads(p.read_text())["done"] for p in folder.glob(".stages/*.json")}
    assert states == {"first": True, "deep%2Fsecond": True, "third": False}
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert left.stdout.strip() == ""
    printed = follow()
    assert "2 of 3 stages are done" in printed and printed.count("done in 0:0") == 1


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (
            lambda r: r.pop("stages"),
            {},
            "a recipe has stages and a matrix has tables; this has nei",
        ),
        (lambda r: r.update(tables={}), {}, "a matrix has tables; this has both of them"),
        (
            lambda r: r.update(stages=["a"]),
            {},
            "stages: names with their commands are wanted, not a list",
        ),
        (lambda r: r.update(stages=None), {}, "names with their commands are wanted, not nothing"),
        (lambda r: None, {"size": "middle"}, "has no size middle; it has small, big"),
        (lambda r: None, {"cpu": True}, "is a recipe, whose commands decide that; drop it"),
        (
            lambda r: r["stages"]["first"].update(run="{write} {later}"),
            {},
            "{later} is no word and no earlier stage",
        ),
        (lambda r: r["stages"]["first"].update(run="fairseq-fly x"), {}, "is not installed"),
        (lambda r: r["stages"]["first"].update(run="fly.py x"), {}, "fly.py: no such file"),
        (lambda r: r["stages"].update(x={"title": "x"}), {}, "stage x: has no command"),
        (lambda r: r["stages"].update(x={"run": " "}), {}, "stage x: has no command"),
        (lambda r: r["stages"].update(x={"run": "{write} 'x"}), {}, "stage x: No closing quot"),
        (lambda r: r["words"].update(a="{b}", b="{a}", say="{a}"), {}, "without end"),
        (
            lambda r: r.update(words=["a"]),
            {},
            "words: names with what they stand for are wanted, not a list",
        ),
        *(
            (
                lambda r, name=name: r["stages"].update({name: {"run": "{write}"}}),
                {},
                f"'{name}' cannot be the name",
            )
            for name in ("../x", "/x", ".stages/x", "x/", "x//y", "./x", "third.log")
        ),
        (
            lambda r: r["stages"].update({"first/x": {"run": "{write}"}}),
            {},
            "stage first/x: its folder would be in that of stage first",
        ),
        (
            lambda r: r["stages"].update({"x": {"run": "{write} {first} 0"}}),
            {},
            "x: ended with nothing in ",
        ),
        (
            lambda r: r["stages"]["third"].update(run="{write} {third} no"),
            {},
            "third: failed: ValueError: could not convert string to float",
        ),
    ],
)
def test_recipes_that_are_wrong(follow, recipe, change, options, words):
    path, content = recipe
    change(content)
    write(path, content)
    with pytest.raises(UserError) as error:
        follow(**options)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_the_program_itself(run_program, recipe, tmp_path):
    flags = [recipe[0], "--dest", tmp_path / "x"]
    done = run_program("fairseq-ebm run", *flags, "--size", "no")
    assert done.returncode == 2 and done.stderr.startswith("fairseq-ebm run: error: --size: ")
    done = run_program("fairseq-ebm run", *flags, "--dry-run")
    assert done.returncode == 0 and done.stdout.count("# ") == 3


def test_what_others_have_made_stays(follow, tmp_path):
    """What is no stage's is neither written over nor removed."""
    theirs = tmp_path / "made here" / "third" / "mine.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(OptionError, match=r"dest: .*third exists, and no run of ours has made it"):
        follow()
    assert theirs.read_text() == "mine"


def test_a_stage_is_rebuilt_in_an_empty_folder(follow, recipe, tmp_path):
    path, content = recipe
    content["stages"]["third.more"] = {"run": "{write} {third.more} 0"}
    content["stages"]["1"] = {"run": "{write} {1} 0"}
    write(path, content)
    follow()
    folder = tmp_path / "made here"
    before = made(tmp_path)
    for name in ("third/left.txt", "third.more/left.txt", "beside.txt"):
        (folder / name).write_text("x")
    content["stages"]["third"]["run"] += " again"
    write(path, content)
    follow()
    after = made(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"third"}
    assert not (folder / "third" / "left.txt").exists()
    assert (folder / "third.more" / "left.txt").exists() and (folder / "beside.txt").exists()


def test_a_run_killed_while_it_removes_leaves_nothing_done(follow, recipe, tmp_path, monkeypatch):
    """Else the command of before would find what is left of its folder, and take it for done."""
    path, content = recipe
    follow()
    changed = json.loads(json.dumps(content))
    changed["stages"]["third"]["run"] += " again"

    def killed(folder):
        raise MemoryError

    write(path, changed)
    with monkeypatch.context() as patch:
        patch.setattr("fairseq_ebm.workflow.runner.shutil.rmtree", killed)
        with pytest.raises(MemoryError):
            follow()
    write(path, content)
    assert "2 of 3 stages are done" in follow()


def test_what_is_gone_is_made_again(follow, tmp_path):
    follow()
    out = tmp_path / "made here" / "third" / "out.json"
    (out.parent / "by someone else").write_text("")
    assert "3 of 3 stages are done" in follow()
    out.unlink()
    assert "2 of 3 stages are done" in follow() and out.exists()
    shutil.rmtree(out.parent)
    assert "2 of 3 stages are done" in follow() and out.exists()


def test_two_runs_in_one_folder(follow, recipe, tmp_path):
    path, content = recipe
    slow = json.loads(json.dumps(content))
    slow["stages"]["first"]["run"] = "{write} {first} 60"
    process = begun(write(path.parent / "slow.yaml", slow), tmp_path / "made here", "first")
    with pytest.raises(OptionError, match=r"dest: .*: another run is at work there"):
        follow()
    process.terminate()
    process.communicate(timeout=30)


def test_a_stage_does_not_outlive_a_killed_run(recipe, tmp_path):
    path, content = recipe
    content["stages"] = {"slow": {"run": "{write} {slow} 60"}}
    write(path, content)
    process = begun(path, tmp_path / "run", "slow")
    (child,) = writers(tmp_path / "run" / "slow.log")
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 90
    while os.path.exists(f"/proc/{child}") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{child}")


def test_what_a_stage_has_started_ends_with_it(follow, recipe, tmp_path):
    """As fairseq's workers that read data, which do not notice its end."""
    path, content = recipe
    program = path.parent / "fork.py"
    program.write_text(
        "import os, sys, time\n"
        "child = os.fork() or time.sleep(60) or os._exit(0)\n"
        "open(f'{sys.argv[1]}/child', 'w').write(str(child))\n"
    )
    content["stages"] = {"child": {"run": "{here}/fork.py {child}"}}
    write(path, content)
    follow()
    child = int((tmp_path / "made here" / "child" / "child").read_text())
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(child)


def alive(process):
    """Zombies are not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def writers(log):
    """Processes that have a file open."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = set()
        for link in Path("/proc").glob("[0-9]*/fd/1"):
            with contextlib.suppress(OSError):
                if os.readlink(link) == str(log):
                    found.add(int(link.parts[2]))
        if found:
            return found
    return set()
