"""The page of findings, from records made by hand: verdicts, tables and what is missing."""

import json
import runpy

import pytest

from tests.conftest import CHECKOUT

SCRIPT = CHECKOUT / "examples" / "findings" / "findings.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def write(folder, name, **record):
    path = folder / "table" / name / f"{name}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))


def lm(ppl, **gains):
    """A language model, and its gains over others with their intervals."""
    rows = [{"name": name, "gain": g[0], "gain_ci95": g[1:]} for name, g in gains.items()]
    return {"base_ppl": ppl, "base_ppl_ci95": [ppl - 1, ppl + 1], "baselines": rows}


def joint(ppl, gain, **gains):
    bounds = {"joint_ppl_lower": ppl, "joint_ppl_upper": ppl + 0.1, "ess": {"mean": 50.0}}
    own = {"gain": gain[0], "gain_ci95": gain[1:], "joint_ppl_ci95": [ppl - 1, ppl + 1]}
    return {**lm(40.0, **gains), **bounds, **own}


@pytest.fixture
def runs(tmp_path):
    docs = tmp_path / "docs"
    write(docs, "base", **lm(40.0))
    write(docs, "ralm", **lm(39.0, base=(0.025, 0.02, 0.03)))
    write(docs, "balm", **lm(41.0, ralm=(-0.05, -0.07, -0.03)))
    write(docs, "unit-plain", **joint(38.9, (0.027, 0.02, 0.035), ralm=(0.002, -0.01, 0.013)))
    return tmp_path


def test_minutes_of_what_is_done(script, tmp_path):
    states = tmp_path / ".stages"
    states.mkdir()
    (states / "unit.json").write_text('{"done": true, "seconds": 90}')
    (states / "bit.json").write_text('{"done": false}')
    found = [script["minutes"](tmp_path, name) for name in ("unit", "bit", "ralm")]
    assert found == [1.5, None, None]


def test_verdicts(script, runs):
    (table,) = [script["claims_table"]({"docs": runs / "docs"})]
    verdicts = {row[0]: row[2:] for row in table.rows}
    assert verdicts["RALM is below BASE LM"] == ["found", "2.50% (2.00 to 3.00)"]
    assert verdicts["BALM is below RALM"][0] == "not found"
    assert verdicts["JOINT UNIT is below BASE LM"] == ["found", "2.70% (2.00 to 3.50)"]
    assert verdicts["JOINT UNIT is below RALM"] == ["overlapping", "0.20% (-1.00 to 1.30)"]
    assert verdicts["JOINT UNIT is below BALM"] == ["not run", "–"]


def test_the_page(script, runs, tmp_path, capsys):
    learned = tmp_path / "learned.md"
    learned.write_text("## What to learn from it\n")
    out = tmp_path / "docs" / "findings.md"
    script["main"]([str(runs), str(out), "--learned", str(learned)])
    text = out.read_text(encoding="utf-8")
    assert "38.90 to 39.00 (37.90 to 39.90)" in text and "17.57, 18.29" in text
    assert "not run: matrix.yaml" in text, "the second paper is said to be missing"
    assert text.endswith("\n## What to learn from it\n")
    assert str(out) in capsys.readouterr().out and (runs / "findings.html").exists()
