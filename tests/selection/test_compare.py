"""``fairseq-ebm selection-log``: logs of selection, side by side."""

import json

import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.records import strict_json
from fairseq_ebm.selection.compare import selection_log
from fairseq_ebm.selection.options import SelectionLog


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(strict_json(line) + "\n" for line in lines))
    return path


def line(update, share, **more):
    figures = {"updates": 1, "chosen": 8, "distinct": 4 * update, "selecting": 0.5, "seconds": 2.0}
    return {"update": update, **figures, "effective": 3.0, "concentration": 0.5,
            "share": {"a": share, "b": 1 - share}, **more}  # fmt: skip


def test_figures_are_those_of_the_lines(tmp_path):
    lines = [line(update, update / 20) for update in range(1, 21)]
    lines.insert(10, {"update": 10, "seconds": 20.0, "valid": {"specific_valid": 3.5}})
    lines.append({"update": 20, "seconds": 40.0, "valid": {"specific_valid": 3.0}})
    path = write(tmp_path / "soba/selection.jsonl", lines)
    (run,) = selection_log(SelectionLog(logs=[path]))["runs"]
    assert (run["name"], run["updates"], run["chosen"], run["distinct"]) == ("soba", 20, 160, 80)
    assert run["updates_per_second"] == 0.5 and run["selecting"] == 0.25
    assert run["share"]["a"] == pytest.approx((19 + 20) / 40)
    assert [point["loss"] for point in run["valid"]["specific_valid"]] == [3.5, 3.0]
    assert run["over_time"][0] == {"update": 1, "a": 0.05, "b": 0.95}


def test_a_line_that_was_cut_off(tmp_path):
    path = write(tmp_path / "x/selection.jsonl", [line(1, 0.5)])
    path.write_text(path.read_text() + '{"update": 2, "cho')
    assert selection_log(SelectionLog(logs=[path]))["runs"][0]["updates"] == 1


def test_what_is_no_log(tmp_path):
    for content, message in (("[]\n", "not a log"), ("{}\n", "not a log"), ("", "nothing was")):
        path = tmp_path / "other.jsonl"
        path.write_text(content)
        with pytest.raises(UserError, match=message):
            selection_log(SelectionLog(logs=[path]))
    with pytest.raises(UserError, match="no such file"):
        selection_log(SelectionLog(logs=[tmp_path / "none.jsonl"]))


def test_the_program_tells_and_draws(run_program, selected, tmp_path):
    log, out = selected / "selection.jsonl", tmp_path / "log.json"
    flags = ["--results-path", out, "--draw"]
    done = run_program("fairseq-ebm selection-log", log, *flags)
    assert done.returncode == 0, done.stderr
    assert "classifier" in done.stdout and "from right" in done.stdout
    drawn = {path.name for path in tmp_path.glob("*.svg")}
    assert drawn == {"log.shares.svg", "log.loss-specific_valid.svg"}
    assert json.loads(out.read_text())["kind"] == "selection"
