"""fairseq-generate and fairseq-interactive themselves, drawing from the joint model."""

import json
import math
import re

import pytest
import torch

from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.joint.checkpoints import load_joint_checkpoints
from tests.conftest import CHECKOUT, train_lm

SHAPE = ["--window", 10, "--stride", 10, "--prefix-size", 6]
SIZE = ["--batch-size", 8, "--num-workers", 0]


@pytest.fixture(scope="module")
def generate(run_program, sums, sums_lm, sums_energy):
    def run(*flags, fails=False, program="fairseq-generate", **options):
        given = ["--user-dir", CHECKOUT / "fairseq_ebm", "--task", "residual_ebm_lm", "--cpu"]
        given += ["--path", f"{sums_lm}:{sums_energy}", "--sampling", "--num-workers", 0]
        given += ["--joint-samples", 50, "--beam", 1, "--nbest", 1, *flags]
        done = run_program(program, sums, *given, **options)
        assert (done.returncode != 0) == fails, done.stderr[-2000:]
        return done

    return run


def lines(text, letter):
    """{id: [fields]} of the lines that begin with a letter."""
    found = {}
    for number, rest in re.findall(rf"^{letter}-(\d+)\t(.*)$", text, re.M):
        found.setdefault(int(number), []).append(rest.split("\t"))
    return found


@pytest.fixture(scope="module")
def whole(generate, tmp_path_factory):
    out = tmp_path_factory.mktemp("generated") / "a folder" / "pools.jsonl"
    flags = [*SHAPE, "--max-windows", 12, "--beam", 2, "--nbest", 2, "--batch-size", 7]
    done = generate(*flags, "--joint-results-path", out)
    return done.stdout, [json.loads(line) for line in out.read_text().splitlines()]


def test_the_lines_of_fairseq_and_ours(whole):
    printed, records = whole
    hypotheses, energies = lines(printed, "H"), lines(printed, "E")
    assert set(hypotheses) == set(energies) == set(lines(printed, "S")) and len(energies) == 12
    assert len(lines(printed, "P")[min(energies)][0][0].split()) == 10  # a score for each token
    targets = lines(printed, "T")
    for record in records:
        found = hypotheses[record["id"]]
        assert len(found) == len(energies[record["id"]]) == len(record["draws"]) == 2
        for (_, text), (energy, log_p, share, ess), draw in zip(
            found, energies[record["id"]], record["draws"]
        ):
            assert text.replace(" ", "").startswith(record["prompt"].replace(" ", ""))
            assert targets[record["id"]][0][0][:11] == text[:11]  # 6 symbols
            assert float(energy) == pytest.approx(draw["energy"], abs=1e-4)
            assert float(log_p) == pytest.approx(draw["log_p"], abs=1e-4)
            assert float(share) == pytest.approx(draw["share"], rel=1e-3)
            assert float(ess) == pytest.approx(draw["ess"], abs=0.1)


def test_pools_are_written_whole(whole):
    _, records = whole
    for record in records:
        (pool,) = record["pools"]
        assert len(pool["tokens"]) == len(pool["energies"]) == len(pool["log_p"]) == 50
        weights = torch.softmax(-torch.tensor(pool["energies"], dtype=torch.float64), 0)
        for draw in record["draws"]:
            places = [i for i, tokens in enumerate(pool["tokens"]) if tokens == draw["tokens"]]
            assert any(draw["share"] == pytest.approx(float(weights[i])) for i in places)
        assert set(record["seconds"]) == {"proposing", "scoring", "choosing"}


def by_id(text):
    return {letter: lines(text, letter) for letter in "HDPE"}


def test_batches_and_shards_change_nothing(generate, whole):
    flags = [*SHAPE, "--max-windows", 12, "--beam", 2, "--nbest", 2]
    assert by_id(generate(*flags, "--batch-size", 1).stdout) == by_id(whole[0])
    shards = [generate(*flags, "--num-shards", 2, "--shard-id", i).stdout for i in (0, 1)]
    parts = [by_id(shard) for shard in shards]
    assert {k: {**parts[0][k], **parts[1][k]} for k in "HDPE"} == by_id(whole[0])
    assert len(parts[0]["H"]) == len(parts[1]["H"]) == 6
    other = generate(*flags, "--seed", 2, "--batch-size", 7).stdout
    assert lines(other, "H") != lines(whole[0], "H")


def test_processes_of_a_launcher_share_the_work(generate, whole, tmp_path):
    flags = [*SHAPE, "--max-windows", 12, "--beam", 2, "--nbest", 2]
    flags += ["--joint-results-path", tmp_path / "pools.jsonl"]
    found = {}
    for rank in (0, 1):
        found.update(lines(generate(*flags, RANK=str(rank), WORLD_SIZE="2").stdout, "H"))
        part = (tmp_path / f"pools.shard-{rank}-of-2.jsonl").read_text()
        assert len(part.splitlines()) == 6
    assert found == lines(whole[0], "H")


def test_fairseqs_lines_may_go_to_a_file_and_ours_are_printed(generate, tmp_path):
    printed = generate(*SHAPE, "--max-windows", 2, "--results-path", tmp_path / "to here").stdout
    written = (tmp_path / "to here" / "generate-test.txt").read_text()
    assert len(lines(printed, "E")) == len(lines(written, "H")) == 2
    assert not lines(printed, "H") and not lines(written, "E")


def test_rules_and_truncation(generate, tmp_path):
    for flags, name in (
        (["--joint-sampler", "metropolis"], "acceptance"),
        (["--joint-sampler", "rejection", "--rejection-beta", 1.5], "total_variation"),
    ):
        out = tmp_path / f"{name}.jsonl"
        generate(*SHAPE, "--max-windows", 2, *flags, "--joint-results-path", out)
        for line in out.read_text().splitlines():
            assert 0 <= json.loads(line)["pools"][0][name] <= 1
    out = tmp_path / "top.jsonl"
    generate(*SHAPE, "--max-windows", 1, "--sampling-topk", 1, "--joint-results-path", out)
    (pool,) = json.loads(out.read_text())["pools"]
    assert len({tuple(tokens) for tokens in pool["tokens"]}) == 1


def test_longer_text_in_chunks(generate):
    flags = [*SHAPE, "--max-windows", 2, "--generation-length", 17, "--chunk-length", 5]
    printed = generate(*flags).stdout
    for scores in lines(printed, "P").values():
        assert len(scores[0][0].split()) == 6 + 17


@pytest.fixture(scope="module")
def interact(generate, tmp_path_factory):
    def run(text, *flags, **options):
        path = tmp_path_factory.mktemp("typed") / "prompts.txt"
        path.write_text(text)
        flags = ["--window", 10, "--input", path, *flags]
        return generate(*flags, program="fairseq-interactive", **options)

    return run


def test_typed_words_that_are_no_symbols(interact):
    done = interact("1 2 + 3 4 =\nwhat is this\n", "--generation-length", 3, fails=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "prompt 1: " in last and "3 of 3 tokens are <unk>" in last and done.returncode


def test_typed_prompts(interact):
    """Two equal ones, an empty one, one with an unknown symbol, one longer than the window."""
    prompts = ["1 2 + 3 4 =", "", "1 2 + 3 4 =", "? 1 1", "1 2 + 3 4 = 0 4 6 1 2 + 3 4"]
    flags = ["--generation-length", 3]
    one = interact("\n".join(prompts) + "\n", *flags).stdout
    many = ["--buffer-size", 7, "--batch-size", 7]
    together = interact("\n".join(prompts) + "\n", *flags, *many).stdout
    assert by_id(one) == by_id(together)
    texts = lines(one, "H")
    assert sorted(texts) == [0, 1, 2, 3, 4]
    for number, prompt in enumerate(prompts):
        scores = lines(one, "P")[number][0][0].split()
        assert len(scores) == len(prompt.split()) + 3
        if "?" not in prompt:
            assert texts[number][0][1].startswith(prompt)
    assert all(math.isfinite(float(fields[0])) for row in texts.values() for fields in row)


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--beam", 51, "--nbest", 51], "--beam: 51 draws from 50 proposals"),
        (["--nbest", 2, "--beam", 3], "--nbest"),
        (["--window", 600], "--window: windows of 600 tokens, but"),
        (["--prefix-size", 10], "--prefix-size: 10 tokens fill the window of 10"),
        (["--prefix-size", -2], "--prefix-size: -2 is below 0"),
        (["--generation-length", 10], "--generation-length: 10 tokens leave no room"),
        (["--stride", 0], "--stride: 0 is below 1"),
        (["--max-windows", 0], "--max-windows: 0 is below 1"),
        (["--num-shards", 3, "--shard-id", 2], "--num-shards: 3 shards of 2 windows"),
        (["--shard-id", 1], "--shard-id: 1 is not one of 1"),
        (["--sampling-topk", 9999], "--sampling-topk: 9999 is above the vocabulary"),
        (["--temperature", 0], "--temperature: 0.0 is not above 0"),
        (["--fp16"], "--fp16: needs a GPU"),
        (["--joint-sampler", "rejection"], "--rejection-beta: needed"),
        (["--gen-subset", "nothing"], "no such split"),
    ],
)
def test_bad_input(generate, flags, words):
    done = generate(*SHAPE, "--max-windows", 2, *flags, fails=True)
    assert words in done.stderr.strip().splitlines()[-1]


def test_flags_of_fairseq(generate):
    """What has no use here is said; --quiet is quiet; bf16 is heeded."""
    flags = [*SHAPE, "--max-windows", 1]
    done = generate(*flags, "--max-len-b", 7, "--lenpen", 2)
    for flag in ("--max-len-b", "--lenpen"):
        assert f"{flag}: the joint sampler does not use it" in done.stdout + done.stderr
    assert lines(generate(*flags, "--quiet").stdout, "E") == {}
    exact, rough = (generate(*flags, *more) for more in ([], ["--bf16"]))
    assert lines(exact.stdout, "E") != lines(rough.stdout, "E")
    assert "the language model is in bf16, but" in rough.stdout + rough.stderr
    assert "the language model is in" not in exact.stdout + exact.stderr


def test_prompts_shorter_than_any_in_training_are_warned_of(generate):
    done = generate(*SIZE, "--prefix-size", 2, "--max-windows", 3)
    said = done.stdout + done.stderr
    assert (
        said.count("a prefix of 2 tokens is shorter than any that the energy was trained on") == 1
    )


def test_prepared_text_is_nothing_to_validate(run_program, sums, sums_energy):
    flags = ["--user-dir", CHECKOUT / "fairseq_ebm", "--task", "residual_ebm_lm", "--cpu"]
    done = run_program("fairseq-validate", sums, *flags, "--path", sums_energy, *SIZE)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "not a store of negatives" in last or "give one" in last


def test_models_that_do_not_fit(generate, backward_lm, sums_energy, sums, run_program, tmp_path):
    done = generate(*SHAPE, "--path", f"{backward_lm}:{sums_energy}", fails=True)
    assert "reads right to left" in done.stderr.strip().splitlines()[-1]
    lm = train_lm(run_program, tmp_path / "lm", sums, "--task", "language_modeling", "--seed", 2)
    done = generate(*SHAPE, "--max-windows", 1, "--path", f"{lm}:{sums_energy}")
    assert "not trained on negatives of" in done.stdout + done.stderr


def test_dictionaries_that_differ(generate, sums_energy, run_program, tmp_path):
    (tmp_path / "dict.txt").write_text("a 1\nb 1\n")
    (tmp_path / "text").write_text("a b\n" * 3000)
    data = tmp_path / "data"
    flags = ["--only-source", "--srcdict", tmp_path / "dict.txt", "--destdir", data]
    splits = [w for s in ("train", "valid") for w in (f"--{s}pref", tmp_path / "text")]
    done = run_program("fairseq-preprocess", *flags, *splits)
    assert done.returncode == 0, done.stderr
    lm = train_lm(run_program, tmp_path / "lm", data, "--task", "language_modeling")
    done = generate(*SHAPE, "--path", f"{lm}:{sums_energy}", fails=True)
    last = done.stderr.strip().splitlines()[-1]
    assert f"trained with {data}/dict.txt, which differs from" in last and "symbol 4 is" in last


def test_a_language_model_alone(generate, interact, whole, sums_lm, tmp_path):
    """The prompts that it shares with the joint model it continues with numbers of its own."""
    out = tmp_path / "plain.jsonl"
    flags = ["--path", sums_lm, *SHAPE, "--max-windows", 12, "--beam", 2, "--nbest", 2]
    printed = generate(*flags, "--joint-results-path", out).stdout
    records = [json.loads(line) for line in out.read_text().splitlines()]
    of_both = {record["id"]: record for record in whole[1]}
    assert len(lines(printed, "H")) == len(records) == 12
    for record in records:
        pool, before = record["pools"][0], of_both[record["id"]]
        assert [draw["tokens"] for draw in record["draws"]] == pool["tokens"]
        assert record["base_text"] == record["draws"][0]["text"]
        assert record["real"] == {**before["real"], "energy": 0}
        for draw, told in zip(record["draws"], lines(printed, "E")[record["id"]]):
            assert (draw["energy"], draw["share"], draw["ess"]) == (0, 0.5, 2)
            assert told == ["0.0000", f"{draw['log_p']:.4f}", "0.5", "2.0"]
    assert sum(r["base_text"] == of_both[r["id"]]["base_text"] for r in records) < 6
    assert lines(generate(*flags, "--batch-size", 1).stdout, "H") == lines(printed, "H")
    flags = ["--path", sums_lm, "--generation-length", 3]
    typed = interact("1 2 + 3 4 =\n", *flags).stdout
    assert lines(typed, "H")[0][0][1].startswith("1 2 + 3 4 =")
    done = generate(*SHAPE, "--path", sums_lm, "--joint-sampler", "metropolis", fails=True)
    assert "metropolis chooses by an energy" in done.stderr.strip().splitlines()[-1]
    done = generate("--path", sums_lm, fails=True)
    assert "--window: windows of 160 tokens, but" in done.stderr.strip().splitlines()[-1]


def test_a_formula_of_several_models(generate, sums, sums_lm, sums_energy, tmp_path):
    other, out = tmp_path / "other.pt", tmp_path / "pools.jsonl"
    other.write_bytes(sums_lm.read_bytes())
    generate(*SHAPE, "--max-windows", 1, "--path", f"{sums_energy}*1:{sums_lm}")
    path = f"{other}*0.25:{sums_energy}*0.5:{sums_lm}"
    generate(*SHAPE, "--max-windows", 2, "--path", path, "--joint-results-path", out)
    joint = load_joint_checkpoints(path, sums, "fp32", torch.device("cpu")).joint()
    for record in map(json.loads, out.read_text().splitlines()):
        (pool,) = record["pools"]
        (prompt,) = load_tokenizer(sums).encode([record["prompt"]])
        prompt = torch.from_numpy(prompt).expand(50, -1)
        whole = torch.cat([prompt, torch.tensor(pool["tokens"])], dim=1)
        found = joint.energies(whole[None], prompt.size(1))[0] - joint.of_prefix(prompt[:1])
        assert found.tolist() == pytest.approx(pool["energies"], abs=1e-3)


def test_models_that_are_missing(generate, sums_lm, sums_energy):
    for path, words in (
        (sums_energy, "language models: 0, energies: 1;"),
        (f"{sums_lm}:{sums_lm}:{sums_energy}", "language models: 2, energies: 1"),
    ):
        done = generate(*SHAPE, "--path", path, fails=True)
        assert words in done.stderr.strip().splitlines()[-1]
