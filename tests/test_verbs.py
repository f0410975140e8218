"""Verbs from Python: the record that the program writes, and what is written with it."""

import json

import pytest

from fairseq_ebm import EvalLM, NextToken, run
from fairseq_ebm.errors import Interrupted, OptionError
from fairseq_ebm.evaluation import eval_lm
from fairseq_ebm.options import Options
from fairseq_ebm.verbs import VERBS, options_of

SHAPE = {"window": 10, "stride": 10, "prefix_length": 6, "max_windows": 12, "cpu": True}


@pytest.fixture
def models(sums_lm, sums_energy):
    return f"{sums_lm}:{sums_energy}"


def test_the_record_is_what_the_program_writes(run_program, sums, models, tmp_path):
    ours, theirs = tmp_path / "a folder" / "ours.json", tmp_path / "theirs.json"
    more = {"num_samples": 16, "sample_curve": (8, 16), "draw": True, **SHAPE}
    record = run(EvalLM(data=sums, path=models, results_path=ours, **more))
    flags = ["--window", 10, "--stride", 10, "--prefix-length", 6, "--max-windows", 12, "--cpu"]
    flags += ["--num-samples", 16, "--sample-curve", "8,16", "--results-path", theirs]
    done = run_program("fairseq-ebm eval-lm", sums, "--path", models, *flags)
    assert done.returncode == 0, done.stderr
    assert json.loads(ours.read_text()) == json.loads(theirs.read_text())
    assert json.loads(json.dumps(record)) == json.loads(ours.read_text())
    assert (ours.parent / "ours.curve.svg").exists()


def test_a_shard_is_no_report(sums, models, tmp_path):
    out = tmp_path / "out.json"
    shard = {"num_samples": 4, "num_shards": 2, "shard_id": 0, "results_path": out}
    record = run(EvalLM(data=sums, path=models, **shard, **SHAPE))
    assert record == {"kind": "shard", "shard": 0, "shards": 2, "merge": str(out), "complete": True}
    assert not out.exists() and list(tmp_path.glob("*.windows.jsonl"))


def test_the_folder_of_the_report_is_made_before_the_work(sums, models, tmp_path, monkeypatch):
    def work(*arguments):
        assert (tmp_path / "new").is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr(eval_lm, "eval_lm", work)
    with pytest.raises(KeyboardInterrupt):
        run(EvalLM(data=sums, path=models, results_path=tmp_path / "new" / "out.json"))
    with pytest.raises(OptionError, match=r"^results_path: .*new is a folder"):
        EvalLM(data=sums, path=models, results_path=tmp_path / "new")


def test_an_interrupt_delivers_what_is_done(sums, models, tmp_path, monkeypatch):
    def three_windows(*arguments):
        for i, result in enumerate(evaluate_all(*arguments)):
            if i == 3:
                raise KeyboardInterrupt
            yield result

    evaluate_all = eval_lm.evaluate_all
    monkeypatch.setattr(eval_lm, "evaluate_all", three_windows)
    out = tmp_path / "out.json"
    with pytest.raises(Interrupted, match="after 3 of 12 windows; --resume continues") as stopped:
        run(EvalLM(data=sums, path=models, num_samples=4, results_path=out, **SHAPE))
    assert stopped.value.record["partial"] == {"windows": 12}
    assert json.loads(out.read_text())["num_windows"] == 3


def test_wrong_options_are_named_as_in_python(sums):
    with pytest.raises(OptionError, match=r"^path: needed"):
        NextToken(data=sums, prefix="1")
    with pytest.raises(OptionError, match=r"^num_samples: sampling_error decides how many"):
        EvalLM(data=sums, path="lm.pt", num_samples=9, sampling_error="1%")


def test_all_verbs_name_their_work():
    for verb in VERBS:
        options = options_of(verb)
        assert issubclass(options, Options) and ":" in options.work and "->" in options.makes
