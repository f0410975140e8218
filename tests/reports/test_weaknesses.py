import copy

from fairseq_ebm.reports.kinds import draw, items_of
from fairseq_ebm.reports.page import Table
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
            "medians": {
                "as it is": {"energy": 1.0, "lm_ppl": 20.0},
                "one edit": {"energy": 2.25, "lm_ppl": 35.5},
            },
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
    "kind": "weaknesses",
    "num_windows": 1200,
    "threshold": {"value": -0.25, "from": "valid"},
    "perturbations": {
        "unit": "token",
        "replaced": None,
        "num_windows": 1200,
        "put_in": {"entity": " John", "common": " $_$"},
        "baseline": {"energy": mean(-2.0), "nll": mean(3.25)},
        "summary": [
            {"perturbation": name, "energy": -0.5, "nll": 0.25, "most": -1.5, "most_at": 160}
            for name in ("entity", "common", "swap")
        ],
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
    part["single_edits"]["medians"] = {"as it is": {}, "one edit": {}}
    for each in part["by_edits"]:
        del each["lm_ppl"]
        each["flipped"] = each["energy"]["standard_error"] = None
    return report


def test_an_energy_without_vectors_of_symbols(tmp_path):
    report = {**REPORT, "token_edits": {}, "no_edits": "it has no vectors"}
    assert "no token edits: it has no vectors" in items_of(report)
    drawn = draw(report, tmp_path / "out.json")
    names = ["perturbations", "attacks", "visible"]
    assert [path.name for path in drawn] == [f"out.{name}.svg" for name in names]


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
    table = tables(chosen_word())[0]
    assert table.heads == ["one word changed", "change of energy", "change of nll"]
    assert table.rows[0] == ["entity", "-0.500", "+0.250"]
    assert table.note == "of 'J$', in 17 windows that have it"


def tables(report):
    return [item for item in items_of(report) if isinstance(item, Table)]


def test_the_tables():
    words = "1,200 real windows, as many generated; threshold -0.250, of the subset valid"
    assert words in items_of(REPORT)
    perturbed, edited, single, attacked, visible = tables(REPORT)
    assert perturbed.rows[0] == ["entity", "-0.500", "+0.250", "160 (-1.500)"]
    assert edited.rows[0] == ["real", "75.0%", "2.5", "62.5%", "30.00 to 32.00"]
    assert single.rows[0] == ["real", "1.00", "2.25", "20.00", "35.50", "3"]
    assert attacked.rows[1] == ["homoglyphs", "56.2%", "50.0%", "0.812", "97.0%"]
    assert visible.rows[1] == ["40", "90.0%", "50.0%", "0.812"]


def test_tables_of_less():
    items = items_of(without_some())
    assert items[0].endswith("threshold 0.000, not set on valid text")
    assert "visible tokens: only for text generated left to right" in items
    perturbed, edited, single, _ = tables(without_some())
    assert perturbed.heads[1:] == ["change of energy", "energy most at position"]
    assert edited.rows[0] == ["real", "–", "–", "–"] and single.rows[0][1:3] == ["–", "–"]
