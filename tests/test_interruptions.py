"""benchmarks/interruptions.py can tell runs apart; what it is for, it shows itself."""

import json
import runpy

import pytest
import torch

from tests.conftest import CHECKOUT

PROOF = runpy.run_path(str(CHECKOUT / "benchmarks" / "interruptions.py"))
STAGES = ["out", "lm", "pools", "report"]


def made(folder, number=0.1, weight=1.0, row=2, word="same", trained=5.0, extra=()):
    """As if by a recipe; ``trained``: what differs from run to run."""
    for stage in STAGES:
        (folder / stage).mkdir(parents=True)
    record = {
        "ppl": number,
        "path": f"{folder}/x",
        "provenance": {"sha256": str(trained)},
        "seconds": trained,
    }
    (folder / "out" / "out.json").write_text(json.dumps(record))
    model = {"w": torch.tensor([weight])}
    torch.save({"model": model, "time": trained}, folder / "lm" / "checkpoint_best.pt")
    (folder / "pools" / "pools.jsonl").write_text(f'{{"row": 1}}\n{{"row": {row}}}\n')
    page = f"<p>{word}</p><details><pre>{trained}</pre></details>"
    (folder / "report" / "report.html").write_text(page)
    for name in extra:
        (folder / "lm" / name).write_text("")
    return folder


@pytest.mark.parametrize(
    ("change", "which"),
    [
        ({"trained": 7.0}, None),
        ({"number": 0.1 + 1e-16}, "out"),
        ({"weight": 1.0 + 1e-7}, "lm"),
        ({"extra": ["more.txt"]}, "lm"),
        ({"row": 3}, "pools"),
        ({"word": "other"}, "report"),
    ],
)
def test_differences_are_seen(tmp_path, change, which):
    one, other = made(tmp_path / "one"), made(tmp_path / "other", **change)
    lines = PROOF["compare"](one, other, STAGES)
    words = {False: "same", True: "different"}
    assert lines == [f"{words[stage == which]}: {stage}" for stage in STAGES]
