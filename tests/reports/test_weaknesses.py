import copy

from fairseq_ebm.reports.weaknesses import draw, table
from tests.reports.test_perplexity import texts


def mean(value, error=0.1):
    return {"mean": value, "standard_error": error}


def row(perturbation, position, change):
    values = {"energy": mean(change - 2), "energy_change": mean(change)}
    values.update({"nll": mean(3.5), "nll_change": mean(0.25)})
    return {"perturbation": perturbation, "position": position, **values}


def edits(direction):
    return {
        "num_texts": 50,
        "judged_rightly": 40,
        "flipped": 0.75,
        "mean_edits_to_flip": 2.5,
        "sign_agreement": 0.625,
        "single_edits": {
            "num_edits": 3,
            "energy_change": mean(0.5),
            "points": {
                "as it is": {"energy": [1.0], "lm_ppl": [20.0]},
                "one edit": {"energy": [1.5, 2.25, 9.0], "lm_ppl": [40.0, 35.5, 30.0]},
                "all edits": {"energy": [3.0], "lm_ppl": [90.0]},
            },
        },
        "by_edits": [
            {"edits": n, "energy": mean(direction * n), "flipped": n / 4, "lm_ppl": 30.0 + n}
            for n in range(3)
        ],
    }


def judged(accuracy, **more):
    return {"accuracy": accuracy, "found": 0.5, "auroc": 0.812, "energy": mean(1.0), **more}


REPORT = {
    "num_windows": 1200,
    "threshold": {"value": -0.25, "from": "valid"},
    "perturbations": {
        "unit": "token",
        "replaced": None,
        "num_windows": 1200,
        "put_in": {"entity": " John", "common": " $_$"},
        "baseline": {"energy": mean(-2.0), "nll": mean(3.25)},
        "rows": [
            row(name, position, change)
            for name in ("entity", "common", "swap")
            for position, change in ((1, 0.5), (160, -1.5))
        ],
    },
    "token_edits": {"real": edits(1), "generated": edits(-1)},
    "attacks": [
        judged(0.875, attack="none", changed=0.0),
        judged(0.5625, attack="homoglyphs", changed=0.97),
    ],
    "visible_tokens": [judged(0.6, visible_tokens=5), judged(0.9, visible_tokens=40)],
}


def without_some():
    """No language model, right to left, one window, nothing judged rightly."""
    report = copy.deepcopy(REPORT)
    report["visible_tokens"] = []
    report["threshold"] = {"value": 0.0, "from": "zero"}
    section = report["perturbations"]
    del section["baseline"]["nll"], section["put_in"]["entity"]
    section["rows"] = [r for r in section["rows"] if r["perturbation"] != "entity"]
    for each in section["rows"]:
        del each["nll"], each["nll_change"]
        each["energy_change"]["standard_error"] = None
    part = report["token_edits"]["real"]
    part.update(flipped=None, mean_edits_to_flip=None, sign_agreement=None)
    for points in part["single_edits"]["points"].values():
        points.update(energy=[])
        del points["lm_ppl"]
    for each in part["by_edits"]:
        del each["lm_ppl"]
        each["flipped"] = each["energy"]["standard_error"] = None
    return report


def test_all_pictures(tmp_path):
    drawn = draw(REPORT, tmp_path / "out.json")
    names = ["perturbations", "edits", "singles", "attacks", "visible"]
    assert [path.name for path in drawn] == [f"out.{name}.svg" for name in names]
    words = [set(texts(path)) for path in drawn]
    assert {"energy", "as it is", "neighbours swapped", "-log P of the LM, nats a token"} <= words[
        0
    ]
    assert {"real text", "generated text", "threshold", "tokens edited"} <= words[1]
    assert {"one edit", "all edits", "LM perplexity", "real text", "threshold"} <= words[2]
    assert {"homoglyphs", "87.5%", "56.2%", "1,200 windows of each kind"} <= words[3]
    assert {"accuracy", "AUROC", "5", "40"} <= words[4]
    assert any("John" in word for word in words[0]) and any("$_$" in word for word in words[0])


def test_what_there_is_is_drawn(tmp_path):
    drawn = draw(without_some(), tmp_path / "out.json")
    assert [path.name for path in drawn] == [
        f"out.{name}.svg" for name in ("perturbations", "edits", "attacks")
    ]
    assert "-log P of the LM, nats a token" not in texts(drawn[0])


def chosen_word():
    report = copy.deepcopy(REPORT)
    section = report["perturbations"]
    section.update(replaced="J$", unit="word", num_windows=17)
    section["rows"] = [row(name, None, -1.5) for name in ("entity", "common", "swap")]
    return report


def test_a_chosen_word(tmp_path):
    words = texts(draw(chosen_word(), tmp_path / "out.json")[0])
    assert "in the place of J$, 17 windows" in words and "entity" in words
    lines = table(chosen_word()).splitlines()
    assert lines[1].split() == ["one", "word", "changed", "energy", "nll"]
    assert lines[2].split() == ["entity", "-1.500", "+0.250"]
    assert lines[5] == "  of 'J$', in 17 windows that have it"


def test_the_table():
    lines = table(REPORT).splitlines()
    assert lines[0] == (
        "1,200 real windows, as many generated; threshold -0.250, of the subset valid"
    )
    assert lines[2].split() == ["entity", "-0.500", "+0.250", "position", "160", "(-1.500)"]
    assert lines[6].split()[:4] == ["real", "75.0%", "2.5", "62.5%"]
    assert lines[6].endswith("LM perplexity 30.00 to 32.00")
    assert lines[9].split() == ["real", "1.00", "2.25", "20.00", "35.50", "3"]
    assert lines[13].split() == ["homoglyphs", "56.2%", "50.0%", "0.812", "97.0%"]
    assert lines[16].split() == ["40", "90.0%", "50.0%", "0.812"]


def test_a_table_of_less():
    lines = table(without_some()).splitlines()
    assert lines[0].endswith("threshold 0.000, not set on valid text")
    assert "nll" not in lines[1] and lines[5].split() == ["real", "-", "-", "-"]
    assert lines[8].split() == ["real", "-", "-", "-", "-", "3"]
    assert lines[-1] == "visible tokens: only for text generated left to right"
