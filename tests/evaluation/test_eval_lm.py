import json
import math
import re
import shutil
import signal
import subprocess
import time

import pytest
import torch

from tests.conftest import heed_interrupts, ours, train_lm
from tests.stores import write_dictionary

SHAPE = ["--window", 10, "--stride", 10, "--prefix-length", 6, "--cpu"]


@pytest.fixture(scope="module")
def evaluate(run_program, sums):
    def run(*arguments, data=(sums,), fails=False, shape=SHAPE):
        done = run_program("fairseq-ebm eval-lm", *data, *shape, *arguments)
        assert done.returncode == (2 if fails else 0), done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def both(sums_lm, sums_energy):
    return f"{sums_lm}:{sums_energy}"


def test_a_language_model_alone_is_stock_fairseqs(run_program, evaluate, sums, tmp_path):
    """Every sum is a document of 10 tokens: stock fairseq reads </s>, then the sum, as we do. It
    also gives padding a probability, which training takes to nothing."""
    flags = ["--task", "language_modeling", "--max-update", 300]
    lm = train_lm(run_program, tmp_path / "lm", sums, *flags)
    out = tmp_path / "o" / "base.json"
    shape = ["--window", 10, "--stride", 10, "--prefix-length", 0, "--cpu"]
    evaluate("--path", lm, "--results-path", out, shape=shape)
    report = json.loads(out.read_text())
    assert set(report) == {"kind", "base_ppl", "base_ppl_ci95", "num_windows", "provenance"}
    assert report["kind"] == "perplexity"
    done = run_program(
        "fairseq-eval-lm",
        *[sums, "--task", "language_modeling", "--path", lm, "--gen-subset", "test"],
        *["--sample-break-mode", "eos", "--tokens-per-sample", 10, "--batch-size", 64, "--cpu"],
    )
    assert done.returncode == 0, done.stderr
    (bits,) = re.findall(r"Loss \(base 2\): ([\d.]+)", done.stdout + done.stderr)
    assert math.log2(report["base_ppl"]) == pytest.approx(float(bits), abs=1e-4)


@pytest.fixture(scope="module")
def whole(evaluate, both, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out.json"
    flags = ["--num-samples", 64, "--sample-curve", "8,64", "--per-position"]
    flags += ["--exact-last-position", "--max-windows", 100]
    done = evaluate("--path", both, "--results-path", out, *flags)
    return done, json.loads(out.read_text()), flags


def test_the_report_has_all_that_the_contract_says(whole):
    done, report, _ = whole
    assert report["num_windows"] == 100 and report["num_samples"] == 64
    assert report["joint_ppl_lower"] <= report["joint_ppl"] <= report["joint_ppl_upper"]
    for name in ("base_ppl", "joint_ppl_lower", "joint_ppl_upper", "joint_ppl", "gain"):
        low, high = report[f"{name}_ci95"]
        assert low < report[name] < high
    for name in ("joint_ppl", "gain"):
        (low, high), whole_interval = report[f"{name}_sampling_ci95"], report[f"{name}_ci95"]
        assert low < report[name] < high and high - low < whole_interval[1] - whole_interval[0]
    assert set(report["error"]) == {"total", "windows", "samples", "raise"}
    for row in (*report["curve"], *report["per_position"][:-1], report["last_position"]):
        low, high = row["sampling_ci95"]
        assert low < row["joint"] < high
    assert [row["num_samples"] for row in report["curve"]] == [8, 64]
    assert [row["position"] for row in report["per_position"]] == [7, 8, 9, 10]
    estimated = {"lower", "joint", "upper", "sampling_ci95"}
    assert set(report["last_position"]) == {"base_ppl", "exact", *estimated}
    assert set(report["ess"]) == {"mean", "min"}
    assert set(report["pareto_k"]) == {"mean", "share_above_0_7"}
    assert isinstance(report["warnings"], list)
    provenance = report["provenance"]
    assert set(provenance) >= {"language_model", "energy", "text", "sampler", "seed", "versions"}
    for words in (
        "joint model, bounds",
        "95% intervals",
        "of sampling alone",
        "gain of the upper bound",
        "100 × 64",
        "effective samples",
    ):
        assert words in done.stdout


def test_the_order_of_the_models_does_not_matter(evaluate, sums_lm, sums_energy, whole, tmp_path):
    out = tmp_path / "out.json"
    evaluate("--path", f"{sums_energy}:{sums_lm}", "--results-path", out, *whole[2], "--quiet")
    assert json.loads(out.read_text()) == whole[1]


def test_shards_merge_exactly(evaluate, run_program, both, whole, tmp_path):
    out = tmp_path / "out.json"
    for shard in (2, 0, 1):
        flags = ["--results-path", out, "--num-shards", 3, "--shard-id", shard]
        done = evaluate("--path", both, *whole[2], *flags)
        assert f"shard {shard} of 3: complete; when all are: --merge {out}\n" == done.stdout
    done = run_program("fairseq-ebm eval-lm", "--merge", out)
    assert done.returncode == 0 and json.loads(out.read_text()) == whole[1]
    results_file = tmp_path / "out.shard-1-of-3.windows.jsonl"
    lines = results_file.read_text().splitlines()
    results_file.write_text("\n".join(lines[:-3]) + "\n")
    done = run_program("fairseq-ebm eval-lm", "--merge", out)
    assert done.returncode == 2 and "97 of 100 windows are done" in done.stderr
    results_file.unlink()
    done = run_program("fairseq-ebm eval-lm", "--merge", out)
    assert done.returncode == 2 and "missing; run shard 1 of 3" in done.stderr


def test_shards_of_a_report_with_an_odd_name(evaluate, run_program, sums_lm, tmp_path):
    out = tmp_path / "out-of-domain[1].json"
    flags = ["--path", sums_lm, "--max-windows", 20, "--results-path", out, "--num-shards", 2]
    evaluate(*flags, "--shard-id", 1)
    done = evaluate("--merge", out, data=(), shape=[], fails=True)
    assert "missing; run shard 0 of 2 (--num-shards 2 --shard-id 0)" in done.stderr
    evaluate(*flags, "--shard-id", 0)
    evaluate("--merge", out, data=(), shape=[])
    assert json.loads(out.read_text())["num_windows"] == 20


def test_resume_goes_on_where_it_was(evaluate, both, whole, tmp_path):
    out, results = tmp_path / "out.json", tmp_path / "out.windows.jsonl"
    evaluate("--path", both, "--results-path", out, *whole[2], "--quiet")
    lines = results.read_text().splitlines(keepends=True)
    results.write_text("".join(lines[:41]) + lines[41][:30])  # killed while it wrote
    out.unlink()
    evaluate("--path", both, "--results-path", out, *whole[2], "--resume")
    assert json.loads(out.read_text()) == whole[1]
    assert results.read_text().splitlines(keepends=True) == lines
    flags = ["--results-path", out, "--resume", "--num-samples", 32]
    done = evaluate("--path", both, *flags, fails=True)
    assert "was begun with other options: num samples (64, now 32)" in done.stderr


def test_an_interrupt_keeps_what_is_done(sums, both, tmp_path):
    """Ctrl-C in the middle: a report that says that it is partial, and --resume ends it."""
    out = tmp_path / "out.json"
    command = [*ours("eval-lm"), sums, "--path", both, *SHAPE, "--results-path", out]
    command += ["--num-samples", 5000]
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    results = tmp_path / "out.windows.jsonl"
    for _ in range(1200):
        if results.exists() and results.read_text().count("\n") > 3:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, err = process.communicate(timeout=60)
    assert process.returncode == 130
    report = json.loads(out.read_text())
    assert "interrupted after " in err and "--resume continues" in err
    assert report["partial"] and 3 <= report["num_windows"] < 1009
    assert f"{report['num_windows']} of 1,009 × 5,000" in printed


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--path", "{lm}:{lm}"], "language models: 2, energies: 0"),
        (["--path", "{energy}"], "language models: 0, energies: 1"),
        (["--path", "{energy}*2:{energy}"], "language models: 0, energies: 2"),
        (["--path", "{lm}:none.pt"], "--path: none.pt: no such file"),
        (["--path", "{lm}", "--gen-subset", "dev"], "dev.bin: no such split"),
        (["--path", "{lm}", "--window", 100_000], "too few for one window"),
        (["--path", "{lm}", "--window", 80], "--window: windows of 80 tokens, but"),
        (["--path", "{lm}", "--prefix-length", 10], "--prefix-length: 10 must be below"),
        (["--path", "{lm}", "--resume"], "--results-path: needed"),
        (["--path", "{lm}:{energy}", "--num-samples", 1], "--num-samples: '1' is not"),
        (["--path", "{lm}:{energy}", "--sample-curve", "10,5000"], "--sample-curve: each size"),
        (
            ["--path", "{lm}:{energy}", "--sampling-error", "2"],
            "'2' is not a share from 1e-06 to 1",
        ),
        (["--path", "{lm}:{energy}", "--sampling-error", "2"], "2% may be meant"),
        (["--path", "{lm}", "--sampling-error", "1%", "--num-samples", 9], "--num-samples: "),
        (["--path", "{lm}:{lm}.none"], "none: no such file"),
        (["--path", "{lm}", "--sampling-error", "1%", "--sample-curve", "8"], "--sample-curve"),
        ([], "--path: needed"),
    ],
)
def test_bad_input(evaluate, sums_lm, sums_energy, flags, message):
    given = [str(flag).format(lm=sums_lm, energy=sums_energy) for flag in flags]
    done = evaluate(*given, fails=True)
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1


def altered(path, to, **options):
    state = torch.load(path, weights_only=True)
    state["task_state"]["negatives"][0]["options"].update(options)
    torch.save(state, to)
    return to


def test_no_perplexity_from_truncated_negatives(evaluate, sums_lm, sums_energy, tmp_path):
    energy = altered(sums_energy, tmp_path / "energy.pt", sampling_topk=10)
    done = evaluate("--path", f"{sums_lm}:{energy}", fails=True)
    assert "not from the language model's own distribution (top-k 10)" in done.stderr


def test_another_language_model_or_dictionary(evaluate, sums, backward_lm, sums_energy, tmp_path):
    done = evaluate("--path", f"{backward_lm}:{sums_energy}", fails=True)
    assert "trained on negatives of another language model" in done.stderr
    data = tmp_path / "data"
    shutil.copytree(sums, data)
    write_dictionary(data, 12)
    done = evaluate("--path", f"{backward_lm}:{sums_energy}", data=(data,), fails=True)
    assert "which differs from" in done.stderr


def test_against_other_models(evaluate, both, sums_lm, tmp_path):
    """The base LM alone is one: against it the joint model gains what it gains over its base."""
    flags = ["--max-windows", 20, "--num-samples", 16, "--results-path"]
    lm, joint = tmp_path / "the base.json", tmp_path / "joint.json"
    evaluate("--path", sums_lm, *flags, lm)
    done = evaluate("--path", both, *flags, joint, "--baseline", lm)
    report = json.loads(joint.read_text())
    (row,) = report["baselines"]
    assert row["name"] == "the base" and row["ppl"] == pytest.approx(report["base_ppl"])
    assert row["gain"] == pytest.approx(report["gain"])
    assert row["gain_ci95"] == pytest.approx(report["gain_ci95"])
    assert f"the base, {row['ppl']:.2f}" in done.stdout and f"{row['gain']:.2%}" in done.stdout
    evaluate("--path", sums_lm, *flags, tmp_path / "again.json", "--baseline", joint, lm)
    against_joint, itself = json.loads((tmp_path / "again.json").read_text())["baselines"]
    assert against_joint["ppl"] == pytest.approx(report["joint_ppl_lower"])
    assert against_joint["gain"] == pytest.approx(1 - row["ppl"] / report["joint_ppl_lower"])
    assert itself["gain"] == 0.0 and itself["gain_ci95"] == [0.0, 0.0]


def test_what_the_energy_was_not_trained_on_is_warned_of(evaluate, both, tmp_path):
    out = tmp_path / "out.json"
    shape = ["--window", 10, "--stride", 10, "--prefix-length", 4, "--cpu"]
    flags = ["--max-windows", 4, "--num-samples", 8, "--results-path", out]
    done = evaluate("--path", both, "--bf16", *flags, shape=shape)
    long = ["--window", 20, "--stride", 20, "--prefix-length", 6, "--cpu"]
    longer = evaluate("--path", both, *flags[:-2], shape=long)
    assert "warning: windows of 20 tokens are longer than any" in longer.stdout
    for words in ("the language model is in bf16, but", "a prefix of 4 tokens is shorter than any"):
        assert f"warning: {words}" in done.stdout
        assert any(words in warning for warning in json.loads(out.read_text())["warnings"])


@pytest.fixture(scope="module")
def other_sums(run_program, sums, tmp_path_factory):
    """Other sums of two digits: their documents have the same lengths."""
    data = tmp_path_factory.mktemp("other") / "sums"
    flags = ["--corpus", "addition", "--digits", 2, "--seed", 2, "--dest", data]
    done = run_program("fairseq-ebm prepare", *flags)
    assert done.returncode == 0, done.stderr
    shutil.copy(sums / "dict.txt", data)  # the same symbols, counted otherwise
    return data


def test_another_text_of_the_same_lengths_is_refused(evaluate, sums_lm, other_sums, tmp_path):
    flags = ["--path", sums_lm, "--max-windows", 20, "--results-path"]
    evaluate(*flags, tmp_path / "one.json")
    out, words = tmp_path / "two.json", "other text: test (SHA-256 of its tokens"
    for more in (["--baseline", tmp_path / "one.json"], ["--resume"]):
        if more == ["--resume"]:
            shutil.copy(tmp_path / "one.windows.jsonl", tmp_path / "two.windows.jsonl")
        done = evaluate(*flags, out, *more, data=(other_sums,), fails=True)
        assert more[0] in done.stderr and words in done.stderr and not out.exists()
    for shard, data in ((0, None), (1, other_sums)):
        more = ["--num-shards", 2, "--shard-id", shard]
        evaluate(*flags, out, *more, **({} if data is None else {"data": (data,)}))
    done = evaluate("--merge", out, data=(), shape=[], fails=True)
    assert words in done.stderr


def test_results_of_another_version(evaluate, sums_lm, tmp_path):
    flags = ["--path", sums_lm, "--max-windows", 20, "--results-path"]
    evaluate(*flags, tmp_path / "one.json")
    windows = tmp_path / "one.windows.jsonl"
    windows.write_text(windows.read_text().replace('"format_version": 3', '"format_version": 2', 1))
    for more in (["--baseline", tmp_path / "one.json"], ["--resume"]):
        done = evaluate(*flags, tmp_path / "one.json", *more, fails=True)
        assert "one.windows.jsonl: format version 2, but this program reads" in done.stderr


def test_a_sampling_error(evaluate, run_program, both, tmp_path):
    """Below what was asked; the same in shards and after a kill."""
    out, parts = tmp_path / "out.json", tmp_path / "parts.json"
    flags = ["--path", both, "--sampling-error", "0.5%", "--max-windows", 70, "--results-path"]
    done = evaluate(*flags, out)
    report = json.loads(out.read_text())
    assert 0.002 < report["error"]["samples"] <= 0.005
    samples = report["samples"]
    assert samples["min"] <= report["num_samples"] <= samples["max"]
    assert f"({samples['min']:,} to {samples['max']:,})" in done.stdout
    for shard in (0, 1):
        evaluate(*flags, parts, "--num-shards", 2, "--shard-id", shard)
    evaluate("--merge", parts, data=(), shape=[])
    assert json.loads(parts.read_text()) == report
    results = tmp_path / "out.windows.jsonl"
    whole = results.read_text()
    results.write_text("".join(whole.splitlines(keepends=True)[:41]))
    evaluate(*flags, out, "--resume")
    assert json.loads(out.read_text()) == report and results.read_text() == whole
    rows = ["--baseline", out, "--results-path", tmp_path / "again.json"]
    evaluate("--path", both, "--max-windows", 70, "--num-samples", 16, *rows)
    (row,) = json.loads((tmp_path / "again.json").read_text())["baselines"]
    assert row["gain_sampling_ci95"] is None  # the same samples: not independent
    less = evaluate(*flags, out, "--max-samples", 40)
    assert "above the 0.500% asked for" in less.stdout


def test_what_is_no_checkpoint_is_not_counted_as_one(evaluate, sums_lm, sums, tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    done = evaluate("--path", f"{sums_lm}:{tmp_path / 'text.pt'}", fails=True)
    assert "text.pt: not a fairseq checkpoint" in done.stderr
    done = evaluate("--path", sums_lm, data=(tmp_path / "nowhere",), fails=True)
    assert "nowhere: no such directory" in done.stderr


def test_baselines_that_are_none(evaluate, sums_lm, tmp_path):
    flags = ["--path", sums_lm, "--max-windows", 20, "--results-path"]
    lm, out = tmp_path / "lm.json", tmp_path / "out.json"
    message = evaluate(*flags, out, "--baseline", lm, fails=True).stderr
    assert "lm.windows.jsonl: not there" in message
    evaluate(*flags, lm)
    message = evaluate(*flags, out, "--baseline", lm, "--stride", 5, fails=True).stderr
    assert "of other windows: stride (10, now 5)" in message and not out.exists()
    windows = tmp_path / "lm.windows.jsonl"
    windows.write_text("\n".join(windows.read_text().split("\n")[:-3]) + "\n")
    assert "is not complete" in evaluate(*flags, out, "--baseline", lm, fails=True).stderr


def test_against_what_stood_there_before(evaluate, both, sums_lm, tmp_path):
    """A report that is written over, and one that was merged."""
    flags = ["--max-windows", 20, "--num-samples", 16, "--results-path"]
    out, merged = tmp_path / "out.json", tmp_path / "merged.json"
    evaluate("--path", sums_lm, *flags, out)
    evaluate("--path", both, *flags, out, "--baseline", out)
    report = json.loads(out.read_text())
    assert report["baselines"][0]["gain"] == pytest.approx(report["gain"]) != 0.0
    for shard in (0, 1):
        evaluate("--path", sums_lm, *flags, merged, "--num-shards", 2, "--shard-id", shard)
    evaluate("--merge", merged, data=(), shape=[])
    evaluate("--path", both, *flags, tmp_path / "new.json", "--baseline", merged)
    rows = json.loads((tmp_path / "new.json").read_text())["baselines"]
    assert rows[0]["gain"] == pytest.approx(report["gain"])


def test_a_formula_and_its_fitted_weights(evaluate, tmp_path, sums_lm, sums_energy):
    out, other = tmp_path / "out.json", tmp_path / "other.pt"
    shutil.copy(sums_lm, other)
    path = f"{sums_lm}:{sums_energy}*0.5:{other}*0.25"
    done = evaluate("--path", path, "--max-windows", 12, "--num-samples", 50, "--results-path", out)
    assert "the joint model is P_LM · P_1^0.25 · exp(-0.5 E_1) / Z" in done.stdout
    report = json.loads(out.read_text())
    assert not any("self-normalised" in warning for warning in report["warnings"])
    assert report["provenance"]["formula"]["is"] == "P_LM · P_1^0.25 · exp(-0.5 E_1)"
    fitted = evaluate(
        *("--path", path, "--max-windows", 12, "--num-samples", 50, "--fit-weights"),
        *("--results-path", tmp_path / "fitted.json"),
    )
    assert "weights fitted on 12 windows of valid" in fitted.stdout
    record = json.loads((tmp_path / "fitted.json").read_text())["provenance"]
    assert record["fitted"]["nats"] >= 0
    weights = [term["weight"] for term in record["formula"]["terms"]]
    assert weights == record["fitted"]["weights"]
    refused = evaluate("--path", path, "--fit-weights", "--gen-subset", "valid", fails=True)
    assert "--fit-weights: on --gen-subset itself" in refused.stderr


def test_an_energy_of_another_language_model(evaluate, tmp_path, sums_lm, sums_energy):
    """As it is, it is refused; with a weight that is said or fitted, it is a function."""
    state = torch.load(sums_lm, weights_only=False)
    state["model"]["decoder.embed_tokens.weight"] *= 1.01
    torch.save(state, tmp_path / "lm.pt")
    few = ["--max-windows", 12, "--num-samples", 50]
    for path, flags, fails in (
        (f"{tmp_path / 'lm.pt'}:{sums_energy}", [], True),
        (f"{tmp_path / 'lm.pt'}:{sums_energy}*0.5", [], False),
        (f"{tmp_path / 'lm.pt'}:{sums_energy}", ["--fit-weights"], False),
    ):
        done = evaluate("--path", path, *few, *flags, fails=fails)
        assert ("of another language model" in done.stderr) == fails
