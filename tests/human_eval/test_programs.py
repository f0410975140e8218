"""fairseq-ebm human-eval: a page, its key, and what votes on it say."""

import json
import random

import pytest

WORDS = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("ab", "el", "ixo", "umi")]


def record(number, seed=1, **more):
    """A line of --joint-results-path."""
    words = random.Random(f"{number} {seed}")
    real = random.Random(number)
    judged = {"tokens": [5, 6], "energy": 0.0, "log_p": -10.0}
    return {
        "kind": "pools",
        "format_version": 1,
        "truncated": False,
        "pools": [{"tokens": [[4, 5], [5, 6]], "energies": [0.0, 0.0], "log_p": [-9.0, -10.0]}],
        "id": number,
        "prompt": f"this is the prompt {number}",
        "base_text": " ".join(words.sample(WORDS, 10)),
        "draws": [{"text": " ".join(words.sample(WORDS, 10)), **judged}],
        "real": {"text": " ".join(real.sample(WORDS, 10)), **judged},
        **more,
    }


def write(path, records):
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    return write(tmp_path_factory.mktemp("pools") / "pools.jsonl", map(record, range(30)))


def ballots(key, folder, **rules):
    """Of each name a file; a rule tells which of the systems A and B is chosen, or a tie."""
    paths = []
    for name, rule in rules.items():
        votes = [{"item": item["item"], "choice": rule(item)} for item in key["items"]]
        content = {"format_version": 1, "page": key["page"], "rater": name, "votes": votes}
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(json.dumps(content))
    return paths


def joint_first(item):
    """Passes checks, and has joint above real above base."""
    order = ("joint", "real", "base", "shuffled")
    return "a" if order.index(item["a"]) < order.index(item["b"]) else "b"


def careless(item):
    """Fails checks."""
    return "b" if item["answer"] == "a" else "a"


def careful_tie(item):
    return item["answer"] or "tie"


def test_from_pools_to_preferences(run_program, pools, tmp_path):
    out = tmp_path / "a folder" / "page.html"
    flags = ["--pair", "joint,base", "--pair", "joint,real", "--num-items", 20, "--dest", out]
    flags += ["--check-against", "shuffled"]
    done = run_program("fairseq-ebm human-eval", "export", pools, *flags)
    assert done.returncode == 0, done.stderr
    assert "20 items, 5 of them checks" in done.stdout
    assert "joint,base: the same words after 0 of 30 prompts" in done.stdout
    key = json.loads((out.parent / "page.key.json").read_text())
    assert key["page"] in out.read_text() and len(key["items"]) == 20
    assert key["provenance"]["options"]["seed"] == 1

    votes = ballots(key, tmp_path, Ann=joint_first, Bob=joint_first, Cy=careful_tie, Dan=careless)
    results = tmp_path / "there" / "out.json"
    flags = [out.parent / "page.key.json", *votes, "--results-path", results]
    done = run_program("fairseq-ebm human-eval", "analyse", *flags)
    assert done.returncode == 0, done.stderr
    found = json.loads(results.read_text())
    assert (found["raters_kept"], found["raters_dropped"], found["ties"]) == (4, 0, "half")
    assert [rater["dropped"] for rater in found["raters"]] == [0, 0, 0, 15]
    for row, second, asked in zip(found["preferences"], ("base", "real"), (8, 7)):
        assert (row["first"], row["second"]) == ("joint", second)
        votes_, items = row["votes"], row["items"]
        assert (votes_["wins"], votes_["ties"], votes_["losses"]) == (2 * asked, asked, 0)
        assert votes_["preference"] == pytest.approx(5 / 6)
        assert (items["wins"], items["preference"]) == (asked, 1.0)
        assert items["p_value"] == pytest.approx(0.5**asked)
    assert found["provenance"]["page"] == key["provenance"]
    assert len(found["provenance"]["votes"]) == 4
    assert "Dan: failed 5 of 5 checks; 15 of 15 votes dropped" in done.stdout
    assert "joint over base, votes" in done.stdout and "83.3% (" in done.stdout

    flags += ["--ties", "drop", "--max-failed-checks", 4, "--quiet"]
    done = run_program("fairseq-ebm human-eval", "analyse", *flags)
    assert done.returncode == 0 and done.stdout == ""
    found = json.loads(results.read_text())
    assert found["raters_kept"] == 3 and found["ties"] == "drop"


def test_a_round_of_qualification(run_program, pools, tmp_path):
    def ours(*flags, code=0):
        done = run_program("fairseq-ebm human-eval", *flags)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    first, page = tmp_path / "first.html", tmp_path / "page.html"
    said = ours("export", pools, "--qualification", "--num-items", 24, "--dest", first)
    assert "24 items, 24 of them checks" in said
    key = json.loads((tmp_path / "first.key.json").read_text())
    assert {frozenset((item["a"], item["b"])) for item in key["items"]} == {
        frozenset(("real", "base"))
    }
    rules = {"Ann": careful_tie, "Bob": careful_tie, "Cy": careless, "Dan": lambda item: "tie"}
    raters = tmp_path / "raters.json"
    votes = ballots(key, tmp_path, **rules)
    flags = [tmp_path / "first.key.json", *votes, "--results-path", raters]
    said = [line.split() for line in ours("qualify", *flags).splitlines()]
    assert ["Ann", "24", "100.00%"] in said and ["Cy", "0", "0.00%", "not", "qualified"] in said
    found = json.loads(raters.read_text())
    assert (found["qualified"], found["num_items"], found["above"]) == (2, 24, 2 / 3)
    assert "2 of 4 raters qualified" in ours("qualify", *flags, "--best", 1, "--above", "1/2")
    assert "holds no comparisons" in ours("analyse", *flags[:2], code=2)

    ours("export", pools, "--num-items", 40, "--dest", page)  # 30 comparisons of 30 prompts
    key = json.loads((tmp_path / "page.key.json").read_text())
    assert key["provenance"]["check"] == ["real", "base"]
    votes = ballots(key, tmp_path, Ann=joint_first, Cy=joint_first)
    flags = [tmp_path / "page.key.json", *votes, "--qualified", raters]
    said = ours("analyse", *flags)
    assert "Cy: did not qualify; 30 of 30 votes dropped" in said
    assert "1 raters kept, 1 dropped" in said and "100.0%" in said
    assert "without a known answer" in ours("qualify", *flags[:2], code=2)


def test_the_page_is_that_of_its_options(run_program, pools, tmp_path):
    def export(*flags):
        done = run_program("fairseq-ebm human-eval", "export", pools, "--num-items", 8, *flags)
        return done.returncode, done.stderr

    out, key = tmp_path / "page.html", tmp_path / "page.key.json"
    assert export("--dest", out) == (0, "")
    first = out.read_bytes(), key.read_bytes()
    assert export("--dest", out) == (0, "") and (out.read_bytes(), key.read_bytes()) == first
    code, err = export("--dest", out, "--seed", 2)  # would make votes on the first one useless
    assert code == 2 and "page.key.json is the key of another page" in err
    assert (out.read_bytes(), key.read_bytes()) == first
    other = tmp_path / "other.html"
    assert export("--dest", other, "--seed", 2, "--title", "Gut & schön?") == (0, "")
    assert "<h1>Gut &amp; schön?</h1>" in other.read_text(encoding="utf-8")


def test_several_models_and_shards(run_program, tmp_path):
    shards = [write(tmp_path / f"{i}.jsonl", map(record, range(i, 20, 2))) for i in (0, 1)]
    small = write(tmp_path / "small.jsonl", (record(i, seed=2) for i in range(8, 20)))
    out = tmp_path / "page.html"
    files = [*(f"big={path}" for path in shards), f"small={small}"]
    flags = ["--pair", "big.joint,small.base", "--num-items", 12, "--dest", out, "--quiet"]
    done = run_program("fairseq-ebm human-eval", "export", *files, *flags)
    assert done.returncode == 0 and done.stdout == "", done.stderr
    items = json.loads((tmp_path / "page.key.json").read_text())["items"]
    assert {item["prompt"] for item in items} == set(range(8, 20))
    page = out.read_text()
    for item in items:
        texts = {
            "big.joint": record(item["prompt"])["draws"][0]["text"],
            "small.base": record(item["prompt"], seed=2)["base_text"],
        }
        if item["answer"] is None:
            assert {item["a"], item["b"]} == set(texts)
            shown = [json.dumps(texts[item[side]]) for side in "ab"]
            assert f'"a": {shown[0]}, "b": {shown[1]}' in page


def test_bad_input_of_export(run_program, pools, tmp_path):
    out = tmp_path / "page.html"

    def file(name, *records):
        return write(tmp_path / name, records)

    prompted = file("prompted.jsonl", {**record(1), "real": None})
    other = file("other.jsonl", record(1, prompt="another"))
    short = file(
        "short.jsonl", *(record(i, real={**record(i)["real"], "text": "1 + 1"}) for i in range(9))
    )
    for flags, words in (
        ([tmp_path / "none.jsonl"], "none.jsonl: No such file"),
        ([file("empty.jsonl")], "no prompts in it"),
        ([prompted], "prompted.jsonl: line 1: not a prompt, its pools"),
        ([file("bare.jsonl", {"id": 1})], "line 1: not a prompt"),
        ([file("list.jsonl", [])], "line 1: not a prompt"),
        ([file("twice.jsonl", record(1), record(1))], "twice.jsonl: prompt 1 for the second time"),
        ([pools, f"x={other}"], "prompt 1 is another text under another name"),
        ([short, "--num-items", 4, "--check-against", "shuffled"], "no prompt is left for a check"),
        ([pools], "--num-items: no prompt is left for joint,base; lower it"),
        ([pools, "--num-items", 6], "--num-items: 6 is no multiple of 4"),
        ([pools, "--check-against", "balm"], "--check-against: 'balm' is none of joint"),
        ([pools, "--check-against", "real"], "--check-against: real text against itself"),
        ([pools, "--qualification", "--pair", "joint,base"], "--pair: joint,base: --qualification"),
        (
            [pools, "--qualification", "--check-against", "base"],
            "--check-against: --qualification asks",
        ),
        ([pools, "--pair", "joint,balm"], "--pair: 'balm' is none of joint, base, real"),
        ([pools, "--pair", "joint"], "--pair: 'joint' is not two different names"),
        ([pools, "--pair", "real,real"], "'real,real' is not two different names"),
        ([pools, "--pair", "joint,base", "--pair", "base,joint"], "the same pair twice"),
        ([pools, "--num-items", 3], "'3' is not a whole number from 4"),
    ):
        done = run_program("fairseq-ebm human-eval", "export", *flags, "--dest", out)
        assert done.returncode == 2 and words in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1 and not done.stdout
        assert not out.exists() and not (tmp_path / "page.key.json").exists()


def test_bad_input_of_analyse(run_program, pools, tmp_path):
    keys = []
    for seed in (1, 2):
        flags = ["--num-items", 8, "--seed", seed, "--dest", tmp_path / f"{seed}.html"]
        done = run_program("fairseq-ebm human-eval", "export", pools, *flags)
        assert done.returncode == 0, done.stderr
        keys.append(tmp_path / f"{seed}.key.json")
    (ann,) = ballots(json.loads(keys[0].read_text()), tmp_path, Ann=joint_first)
    for arguments, words in (
        ([tmp_path / "none.json", ann], "none.json: no such file"),
        ([ann, ann], "Ann.json: not a key"),
        ([keys[0], keys[0]], "1.key.json: not the votes"),
        ([keys[1], ann], "Ann.json: votes on the page"),
        ([keys[0], ann, ann], "votes of 'Ann', whose votes are in"),
        ([keys[0], ann, "--qualified", ann], "--qualified: "),
        ([keys[0]], "the following arguments are required: VOTES.json"),
    ):
        out = tmp_path / "out.json"
        done = run_program("fairseq-ebm human-eval", "analyse", *arguments, "--results-path", out)
        assert done.returncode == 2 and words in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1 and not done.stdout and not out.exists()
    done = run_program("fairseq-ebm human-eval")
    assert done.returncode == 2 and "human-eval export, human-eval qualify" in done.stderr


def test_no_vote_left(run_program, pools, tmp_path):
    flags = ["--num-items", 4, "--dest", tmp_path / "page.html"]
    run_program("fairseq-ebm human-eval", "export", pools, *flags)
    key = tmp_path / "page.key.json"
    votes = ballots(json.loads(key.read_text()), tmp_path, Eve=lambda item: "tie")
    done = run_program("fairseq-ebm human-eval", "analyse", key, *votes)
    assert done.returncode == 0, done.stderr
    assert "Eve: failed 1 of 1 checks; 3 of 3 votes dropped" in done.stdout
