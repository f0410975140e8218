"""The page about selection, from records made by hand: losses, places, costs, verdicts."""

import json
import math
import runpy

import numpy as np
import pytest
import torch
from fairseq.data import indexed_dataset

from tests.conftest import CHECKOUT

SCRIPT = CHECKOUT / "examples" / "data_selection" / "table.py"
LOSSES = {"generic": 4.0, "mix": 3.5, "soba": 3.6, "dds": 3.8, "oracle": 3.0}


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def write(path, record):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def windows(path, loss, apart):
    """40 of 64 tokens, in documents of 100; every second document is further from the mean."""
    lines = [{"window": 64}]
    for number in range(40):
        sign = 1 if (number * 64 // 100) % 2 else -1
        lines.append({"number": number, "log_lm": -64 * (loss + sign * apart)})
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def documents(prefix):
    prefix.parent.mkdir(parents=True, exist_ok=True)
    builder = indexed_dataset.MMapIndexedDatasetBuilder(f"{prefix}.bin", dtype=np.uint16)
    for _ in range(26):
        builder.add_item(torch.arange(100))
    builder.finalize(f"{prefix}.idx")


@pytest.fixture
def runs(tmp_path):
    for seed in ("1", "2", "3"):
        folder = tmp_path / seed
        shifted = {name: loss + int(seed) / 100 for name, loss in LOSSES.items()}
        for name in LOSSES:
            apart = 2.0 if name == "dds" and seed == "2" else 0.01
            for part in ("results", "tuned-results", "general-results"):
                out = folder / part / name / f"{name}.json"
                write(out, {"base_ppl": math.exp(shifted[name])})
                windows(out.with_suffix(".windows.jsonl"), shifted[name], apart)
            state = {"seconds": 300.0 if name == "soba" else 100.0}
            write(folder / ".stages" / f"lm%2F{name}.json", state)
        documents(folder / "specific" / "test")
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


def test_gains_are_paired_by_document(script, runs):
    found, low, high = script["gain"](runs / "1", "results", "soba", "generic")
    assert found == pytest.approx(1 - math.exp(3.6 - 4.0), abs=0.02) and low <= found <= high
    found, low, high = script["gain"](runs / "2", "results", "dds", "generic")
    assert low < 0 < found < high  # two documents of three differ by the luck of the text
    places = script["documents_of"](runs / "1", np.array([0, 1, 2, 39]))
    assert places.tolist() == [0, 0, 1, 24]
    assert script["gain"](runs / "1", "results", "cds", "generic") is None


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
