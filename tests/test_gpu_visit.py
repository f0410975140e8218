"""The bundle for a machine with a GPU, and the steps of a visit there."""

import json
import re
import runpy
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.conftest import CHECKOUT

FOLDER = CHECKOUT / "examples" / "gpu"
PLAN = yaml.safe_load((FOLDER / "steps.yaml").read_text())


@pytest.fixture(scope="module")
def visit():
    return runpy.run_path(str(FOLDER / "visit.py"))


@pytest.fixture(scope="module")
def bundle():
    return runpy.run_path(str(FOLDER / "bundle.py"))


def values(size, out):
    machine = {"python": sys.executable, "device": "cpu", "out": out, "processes": 2}
    return {**PLAN["sizes"][size], **machine}


@pytest.mark.parametrize("size", PLAN["sizes"])
def test_every_step_is_a_command_of_what_is_in_the_bundle(visit, bundle, size, tmp_path):
    for step in PLAN["steps"]:
        words = visit["command"](PLAN, step, values(size, tmp_path))
        assert words[0] == sys.executable and not any("{" in word for word in words)
        scripts = [word for word in words if word.endswith((".py", ".yaml"))]
        assert all(name in bundle["FILES"] and (CHECKOUT / name).exists() for name in scripts)


def test_what_scripts_import_is_in_the_bundle(bundle):
    scripts = [name for name in bundle["FILES"] if name.endswith(".py")]
    imported = {
        f"benchmarks/{module}.py"
        for name in scripts
        for module in re.findall(r"^from (\w+) import", (CHECKOUT / name).read_text(), re.M)
    }
    beside = {name for name in imported if (CHECKOUT / name).exists()}
    assert "benchmarks/launches.py" in beside and beside <= set(scripts)


def test_programs_understand_their_words(visit, tmp_path):
    """The flags of each script, by its own parser: nothing is measured."""
    for step in PLAN["steps"]:
        words = visit["command"](PLAN, step, values("paper", tmp_path))
        if not words[1].startswith("benchmarks/"):
            continue
        names = {word.partition("=")[0] for word in words if word.startswith("--")}
        text = (CHECKOUT / words[1]).read_text()
        assert all(f'"{name}"' in text for name in names), step["name"]
        rows = words[words.index("--rows") + 1].split(",")
        assert all(f'"{row}": row_' in text for row in rows), step["name"]


def run(visit, code, out, seconds, limit=60):
    step = {"name": "a", "about": "b", "seconds": limit}
    words = [sys.executable, "-c", code]
    began = time.monotonic()
    return visit["run"](step, words, out / "site", out, seconds), time.monotonic() - began


def test_what_becomes_of_a_step(visit, tmp_path):
    assert run(visit, "print('said')", tmp_path, 60)[0]["status"] == "done"
    assert "said" in (tmp_path / "a.log").read_text()
    assert run(visit, "raise SystemExit(3)", tmp_path, 60)[0]["status"] == "failed (3)"


@pytest.mark.parametrize(("seconds", "limit"), [(1, 60), (60, 1)])
def test_a_step_is_cut_off_with_all_that_it_started(visit, tmp_path, seconds, limit):
    code = "import subprocess, sys, time\n"
    code += "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    code += f"open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid)); time.sleep(600)"
    found, took = run(visit, code, tmp_path, seconds, limit)
    assert found["status"] == "out of time" and took < 30
    state = Path(f"/proc/{(tmp_path / 'pid').read_text()}/status")
    time.sleep(0.2)
    assert not state.exists() or "zombie" in state.read_text()


def test_what_a_step_leaves_behind_ends_even_if_it_takes_no_notice(visit, tmp_path, monkeypatch):
    monkeypatch.setitem(visit["run"].__globals__, "PATIENCE", 1.0)
    code = "import os, subprocess, sys, time\n"
    child = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    words = ["-c", child + "; time.sleep(600)"]
    code += f"p = subprocess.Popen([sys.executable, *{words!r}], stdout=subprocess.PIPE)\n"
    code += f"p.stdout.readline(); open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid))"
    found, took = run(visit, code, tmp_path, 60)
    assert found["status"] == "done" and 1 < took < 30
    state = Path(f"/proc/{(tmp_path / 'pid').read_text()}/status")
    assert not state.exists() or "zombie" in state.read_text()


def test_figures_and_results(visit, tmp_path):
    (tmp_path / "check.json").write_text('{"rows": [{"row": "log P", "apart": 0.00123456}]}')
    (tmp_path / "bounds" / "bounds").mkdir(parents=True)
    report = tmp_path / "bounds" / "bounds" / "bounds.json"
    report.write_text('{"kind": "perplexity", "base_ppl": 12.5}')
    (tmp_path / "bounds" / ".stages").mkdir()
    (tmp_path / "bounds" / ".stages" / "a%2Flm.json").write_text('{"seconds": 7.5}')
    (tmp_path / "bounds" / ".stages" / "energy.json").write_text("{}")  # under way
    state = {"step": "check", "about": "a.", "status": "done", "seconds": 2.5}
    (tmp_path / "state-check.json").write_text(json.dumps(state))
    visit["write_results"](PLAN, tmp_path, "cpu")
    text = (tmp_path / "results.md").read_text()
    assert "| check | a. | done | 2.5 |" in text and "log P: apart 0.001235" in text
    assert "- bounds: base_ppl 12.5" in text and "- bounds: a/lm: seconds 7.5" in text
    assert "energy" not in text


def test_unknown_steps_are_refused(visit, tmp_path):
    arguments = type("Given", (), {"only": "check,nothing", "skip": "", "size": "tiny"})
    with pytest.raises(SystemExit, match="nothing: none of check"):
        visit["asked"](PLAN, arguments)
    arguments.only, arguments.skip = "", "demo"
    names = [step["name"] for step in visit["asked"](PLAN, arguments)]
    assert names[0] == "check" and "demo" not in names and "graphs" not in names


def test_a_lean_wheel_lists_what_is_in_it(bundle, tmp_path):
    source, lean = tmp_path / "a-1-py3-none-any.whl", tmp_path / "lean"
    lean.mkdir()
    names = ["a/__init__.py", "a/tests/test_a.py", "a/fast.c", "a/testing.py"]
    record = "a-1.dist-info/RECORD"
    with zipfile.ZipFile(source, "w") as wheel:
        for name in names:
            wheel.writestr(name, "# text\n")
        wheel.writestr("a-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: a\nVersion: 1\n")
        wheel.writestr("a-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        listed = [*names, "a-1.dist-info/METADATA", "a-1.dist-info/WHEEL", record]
        wheel.writestr(record, "".join(f"{name},,\n" for name in listed))
    bundle["lean"](source, lean)
    with zipfile.ZipFile(lean / source.name) as wheel:
        kept = {name for name in wheel.namelist() if name.startswith("a/")}
        assert kept == {"a/__init__.py", "a/testing.py"}
        assert wheel.read(record).decode().count("\n") == 5
    words = ["install", "--quiet", "--no-index", "--no-deps", "--target", str(tmp_path / "site")]
    pip = [sys.executable, "-m", "pip", *words, str(lean / source.name)]
    assert subprocess.run(pip, check=False).returncode == 0
    assert (tmp_path / "site" / "a" / "testing.py").exists()


def test_an_interrupted_visit_leaves_nothing_behind(tmp_path):
    """Ctrl-C ends the step's processes, too."""
    code = f"""
import runpy, signal, sys, pathlib
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever it was started by
visit = runpy.run_path({str(FOLDER / "visit.py")!r})
out = pathlib.Path({str(tmp_path)!r})
words = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
visit["run"]({{"name": "a", "about": "", "seconds": 600}}, words, out / "site", out, 600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    log = tmp_path / "a.log"
    end = time.monotonic() + 30
    while not (log.exists() and log.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    time.sleep(0.2)
    state = Path(f"/proc/{log.read_text().strip()}/status")
    assert not state.exists() or "zombie" in state.read_text()
