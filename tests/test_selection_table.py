"""The page about selection, from records made by hand: losses, places, costs, verdicts."""

import json
import math
import runpy

import pytest

from tests.conftest import CHECKOUT

SCRIPT = CHECKOUT / "examples" / "data_selection" / "table.py"
LOSSES = {"generic": 4.0, "mix": 3.5, "soba": 3.6, "dds": 3.8, "oracle": 3.0}


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def write(path, record):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def report(name, losses, low):
    """With gains over all that come before, whose intervals begin at ``low`` of them."""
    gains = {n: 1 - math.exp(losses[name] - loss) for n, loss in losses.items() if n != name}
    rows = [{"name": n, "gain": g, "gain_ci95": [low * g, 2 * g]} for n, g in gains.items()]
    return {"base_ppl": math.exp(losses[name]), "baselines": rows}


@pytest.fixture
def runs(tmp_path):
    for seed in ("1", "2", "3"):
        folder = tmp_path / seed
        shifted = {name: loss + int(seed) / 100 for name, loss in LOSSES.items()}
        for name in LOSSES:
            low = -1.0 if name == "dds" and seed == "2" else 0.5
            for part in ("results", "tuned-results", "general-results"):
                write(folder / part / name / f"{name}.json", report(name, shifted, low))
            state = {"seconds": 300.0 if name == "soba" else 100.0}
            write(folder / ".stages" / f"lm%2F{name}.json", state)
        counts = {"test": {"tokens": 100, "characters": 400}}
        write(folder / "specific" / "prepare.json", {"splits": counts})
        run = {"share": {"code": 0.2, "docs": 0.8}, "distinct": 1000, "effective": 9.0,
               "concentration": 0.5, "updates_per_second": 2.0}  # fmt: skip
        run.update(name="soba", updates=10, seconds=5.0, selecting=0.5, chosen=160, valid={})
        run["over_time"] = [{"update": 10, "code": 0.2, "docs": 0.8}]
        write(folder / "log" / "log.json", {"kind": "selection", "runs": [run]})
    return tmp_path


def rows_of(table):
    return {row[0]: row[1:] for row in table.rows}


def folders(runs):
    return [runs / seed for seed in ("1", "2", "3")]


def test_losses_and_where_they_stand(script, runs):
    rows = rows_of(script["losses_table"](folders(runs)))
    assert rows["generic"][0] == "4.020 ± 0.010" and rows["generic"][2] == "0%"
    assert rows["soba"][:3] == ["3.620 ± 0.010", "0.905 ± 0.003", "40%"]
    assert rows["oracle"][2] == "100%" and rows["cds"][0] == "–"
    assert rows["soba"][-1] == "1.018, 0.819"


def test_costs_are_against_generic(script, runs):
    rows = rows_of(script["costs_table"](folders(runs)))
    assert rows["soba"][-1] == "3.00" and rows["soba"][:3] == ["20.0%", "80.0%", "1,000 ± 0"]
    assert rows["generic"][-1] == "1.00" and rows["cds"][-1] == "–"


def test_verdicts_are_of_all_seeds(script, runs):
    rows = rows_of(script["claims_table"](folders(runs)))
    assert rows["SOBA is below generic"][1] == "found"
    assert rows["DDS is below generic"][1] == "overlapping"  # one interval holds 0
    assert rows["mix is below SOBA"][1] == "found"
    assert rows["SOBA, fine-tuned, is below mix, fine-tuned"][1] == "not found"
    assert rows["CDS is below generic"][1:] == ["not run", "–"]


def test_the_page_is_written(script, runs):
    script["main"]([str(runs), str(runs / "out.md")])
    text = (runs / "out.md").read_text()
    assert "The third paper's table 2, small" in text and "not run" in text
    assert (runs / "out.html").exists()


def test_what_has_not_run(script, tmp_path):
    (made,) = script["sections"](tmp_path)
    assert "no seed" in made.items[0]
