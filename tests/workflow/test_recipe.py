"""fairseq-ebm-run: words, sizes, what is skipped and what is made anew."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fairseq_ebm.errors import UserError
from fairseq_ebm.workflow import children
from fairseq_ebm.workflow import recipe as recipes
from fairseq_ebm.workflow.running import Running
from fairseq_ebm.workflow.stages import Stage, depths, threads_of
from tests.conftest import heed_interrupts

WRITE = """import json, sys, time
out, wait, *words = sys.argv[1:]
time.sleep(float(wait))
json.dump(words + [time.time_ns()], open(out, "w"))
print("written", *words)
"""

RECIPE = {
    "words": {"write": "{here}/write.py", "wait": 0, "who": "nobody", "say": "hello {who}"},
    "sizes": {"small": {"who": "a dwarf"}, "big": {"who": "a giant", "wait": 0}},
    "stages": {
        "first.json": {"title": "the first", "run": "{write} {first.json} {wait} {say}"},
        "deep/second.json": {"run": "{write} {deep/second.json} {wait} {first.json}"},
        "third.json": {"run": "{write} {third.json} {wait} alone"},
        "fourth.json": {"run": "{write} {fourth.json} 0 tall", "only": "big"},
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

    def run(*flags):
        command = [recipe[0], "--dest", tmp_path / "made here", *flags]
        recipes.follow(recipes.build_parser().parse_args(list(map(str, command))))
        return capsys.readouterr().out

    return run


def made(tmp_path):
    paths = (tmp_path / "made here").rglob("*.json")
    return {p.name: json.loads(p.read_text()) for p in paths if ".stages" not in p.parts}


def test_stages_in_their_order(follow, tmp_path):
    printed = follow("--size", "small", "--jobs", 2)
    found = made(tmp_path)
    assert set(found) == {"first.json", "second.json", "third.json"}
    assert found["first.json"][:-1] == ["hello", "a", "dwarf"]
    assert found["second.json"][0] == str(tmp_path / "made here" / "first.json")
    assert found["second.json"][-1] > found["first.json"][-1]
    assert "[1/3] the first\n" in printed and "[1/3] the first: done in 0:0" in printed
    state = json.loads((tmp_path / "made here" / ".stages" / "first.json.json").read_text())
    assert state["done"] is True and 0 < state["seconds"] < 60
    assert "written alone" in (tmp_path / "made here" / "third.json.log").read_text()


def test_only_what_changed_is_made_anew(follow, recipe, tmp_path):
    follow("--size", "small")
    before = made(tmp_path)
    follow("--size", "small")
    assert made(tmp_path) == before
    follow("--size", "big")
    after = made(tmp_path)
    assert after["third.json"] == before["third.json"] and "fourth.json" in after
    assert after["first.json"][:-1] == ["hello", "a", "giant"]
    assert after["second.json"] != before["second.json"]  # stands on the first
    path = recipe[0]
    (path.parent / "write.py").write_text(WRITE + "# another program\n")
    follow("--size", "big")
    assert made(tmp_path)["third.json"] != before["third.json"]


@pytest.mark.parametrize(
    "how", ["{here}/a.txt", "--paper={here}/a.txt", "{first.json}:{here}/a.txt"]
)
def test_a_changed_file_makes_its_stage_anew(follow, recipe, tmp_path, how):
    path, content = recipe
    (path.parent / "a.txt").write_text("one")
    content["stages"]["deep/second.json"]["run"] += f" {how}"
    write(path, content)
    follow()
    before = made(tmp_path)
    follow()
    assert made(tmp_path) == before
    (path.parent / "a.txt").write_text("two")
    follow()
    after = made(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"second.json"}


@pytest.mark.parametrize("package", ["fairseq_ebm", "fairseq", "torch"])
def test_another_version_makes_everything_anew(follow, tmp_path, monkeypatch, package):
    follow()
    before = made(tmp_path)
    name = "__version__" if package == "fairseq_ebm" else f"{package}.__version__"
    monkeypatch.setattr(f"fairseq_ebm.workflow.inputs.{name}", "0.0")
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


def test_what_most_stands_on_begins_first():
    def stage(name, *needs):
        return Stage(name, name, ("run",), needs)

    stages = [stage("a"), stage("b", "a"), stage("c"), stage("d", "c"), stage("e", "b", "d")]
    assert depths(stages) == {"a": 2, "b": 1, "c": 2, "d": 1, "e": 0}
    assert depths([stage("x"), stage("y"), stage("z", "y")]) == {"x": 0, "y": 1, "z": 0}


def test_the_order_of_stages(follow, recipe):
    """The one on which another stands begins before one on which nothing does."""
    path, content = recipe
    content["stages"] = {
        "alone": {"run": "{write} {alone} 0"},
        "below": {"run": "{write} {below} 0"},
        "above": {"run": "{write} {above} 0 {below}"},
    }
    write(path, content)
    assert re.findall(r"\] (\w+)\n", follow("--jobs", 1)) == ["below", "alone", "above"]


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
    follow("--jobs", 2)
    assert given == {"first.log": None, "one.log": 1, "other.log": 1}


def test_where_it_is_computed_changes_nothing(follow, recipe, tmp_path):
    follow()
    before = made(tmp_path)
    path, content = recipe
    content["stages"]["third.json"]["run"] += " --cpu"
    write(path, content)
    follow()
    assert made(tmp_path) == before


def test_the_last_line_of_a_log(tmp_path):
    log = tmp_path / "log"
    running = Running([sys.executable], "[1/2] a title", log, None)
    running.process.kill()
    running.process.join()
    log.write_text("")
    assert (running.last_line(), running.title) == ("", "a title")
    log.write_text("first\nsome\r 3 of 9\r\n \n")
    assert running.last_line() == "3 of 9"
    log.write_text("2026-11-21 15:01:25 | INFO | train_inner | epoch 001: 9 / 10\n")
    assert running.last_line() == "epoch 001: 9 / 10"


def test_dry_run(follow, tmp_path):
    printed = follow("--size", "big", "--dry-run")
    assert printed.count("\n#") == 3 and "hello a giant" in printed
    assert not (tmp_path / "made here").exists()


def test_an_interrupt_and_going_on(recipe, tmp_path):
    """Ctrl-C ends what runs; what was done stays."""
    path, content = recipe
    content["stages"]["deep/second.json"]["run"] += " {first.json}"
    slow = json.loads(json.dumps(content))
    slow["stages"]["third.json"]["run"] = "{write} {third.json} 60 alone"
    slow["stages"]["third.json"]["run"] += " {deep/second.json}"
    write(path, slow)
    command = [
        sys.executable,
        "-m",
        "fairseq_ebm.workflow.recipe",
        path,
        "--dest",
        tmp_path / "run",
    ]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    state = tmp_path / "run" / ".stages" / "third.json.json"  # begun
    deadline = time.monotonic() + 90
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert state.exists()
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(state.read_text())["done"] is False
    for name in ("first.json", "deep%2Fsecond.json"):
        assert json.loads((state.parent / f"{name}.json").read_text())["done"] is True
    children = subprocess.run(["pgrep", "-f", str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert children.stdout.strip() == ""


@pytest.mark.parametrize(
    ("change", "flags", "words"),
    [
        (lambda r: r.pop("stages"), [], "has no section stages"),
        (lambda r: None, ["--size", "middle"], "has no size middle; it has small, big"),
        (
            lambda r: r["stages"]["first.json"].update(run="{write} {later}"),
            [],
            "{later} is no word and no earlier stage",
        ),
        (lambda r: r["stages"]["first.json"].update(run="fairseq-fly x"), [], "is not installed"),
        (lambda r: r["stages"].update(x={"title": "x"}), [], "stage x: has no command"),
        (lambda r: r["stages"].update(x={"run": " "}), [], "stage x: has no command"),
        (
            lambda r: r["stages"].update(x={"run": "{write} 'x"}),
            [],
            "stage x: No closing quotation",
        ),
        (lambda r: r["words"].update(a="{b}", b="{a}", say="{a}"), [], "without an end"),
        (lambda r: r.update(words=["a"]), [], "words: not names"),
        (lambda r: r["stages"].update({"../x": {"run": "{write}"}}), [], "cannot be the name"),
        (lambda r: r["stages"].update({"nothing.json": {"run": "{write} {x.json}"}}), [], "x.json"),
        (
            lambda r: r["stages"].update({"x.json": {"run": "{write} {first.json} 0"}}),
            [],
            "ended without x.json",
        ),
        (
            lambda r: r["stages"]["third.json"].update(run="{write} {third.json} no"),
            [],
            "third.json: failed: ValueError: could not convert string to float",
        ),
    ],
)
def test_recipes_that_are_wrong(follow, recipe, change, flags, words):
    path, content = recipe
    change(content)
    write(path, content)
    with pytest.raises(UserError) as error:
        follow(*flags)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_the_program_itself(run_program, recipe, tmp_path):
    done = run_program("fairseq-ebm-run", recipe[0], "--dest", tmp_path, "--size", "no")
    assert done.returncode == 2 and "has no size no" in done.stderr


def test_what_others_have_made_stays(follow, recipe, tmp_path):
    """A file that is no stage's is not written over; a changed stage takes its own files only."""
    path, content = recipe
    (tmp_path / "made here").mkdir()
    theirs = tmp_path / "made here" / "third.json"
    theirs.write_text("mine")
    with pytest.raises(UserError, match="no run of ours has made it"):
        follow()
    assert theirs.read_text() == "mine"
    theirs.unlink()
    content["stages"]["third.more.json"] = {"run": "{write} {third.more.json} 0"}
    content["stages"]["1"] = {"run": "{write} {1} 0"}
    write(path, content)
    follow()
    made_by = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "made here").iterdir()}
    for name in ("third.windows.jsonl", "third.more.svg"):
        (tmp_path / "made here" / name).write_text("beside")
    content["stages"]["third.json"]["run"] += " again"
    write(path, content)
    follow()
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "made here").iterdir()}
    assert {n for n in made_by if made_by[n] != after[n]} - {".stages"} == {
        "third.json",
        "third.json.log",
    }
    assert "third.more.svg" in after and "third.windows.jsonl" not in after


def test_what_is_gone_is_made_again(follow, tmp_path):
    follow()
    (tmp_path / "made here" / "third.json").unlink()
    assert "third" in follow() and (tmp_path / "made here" / "third.json").exists()


def test_a_stage_does_not_outlive_a_killed_run(recipe, tmp_path):
    path, content = recipe
    content["stages"] = {"slow.json": {"run": "{write} {slow.json} 60"}}
    write(path, content)
    command = [
        sys.executable,
        "-m",
        "fairseq_ebm.workflow.recipe",
        path,
        "--dest",
        tmp_path / "run",
    ]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    log = tmp_path / "run" / "slow.json.log"
    deadline = time.monotonic() + 90
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    (child,) = writers(log)
    process.kill()
    process.wait()
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
        "open(sys.argv[1], 'w').write(str(child))\n"
    )
    content["stages"] = {"child.json": {"run": "{here}/fork.py {child.json}"}}
    write(path, content)
    follow()
    child = int((tmp_path / "made here" / "child.json").read_text())
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
