from fairseq_ebm.reports.kinds import draw
from tests.reports.test_perplexity import texts

REPORT = {
    "kind": "generations",
    "num_prompts": 1200,
    "unique_ngrams": [
        {"n": 2, "real": 0.6, "base": 0.45, "joint": 0.5},
        {"n": 3, "real": 0.9, "base": 0.8, "joint": 0.85},
    ],
    "densities": {
        "base": {
            "samples": [-50.0, -40.0],
            "real": [-60.0, -61.0],
            "difference": 15.5,
            "standard_error": 0.5,
        },
        "joint": {
            "samples": [-50.0, -45.0],
            "real": [-52.0, -47.0],
            "difference": 2.0,
            "standard_error": None,
        },
    },
}


def test_without_densities(tmp_path):
    (ngrams,) = draw({**REPORT, "densities": None}, tmp_path / "out.json")
    assert ngrams.name == "out.ngrams.svg"


def test_both_pictures(tmp_path):
    ngrams, curves = draw(REPORT, tmp_path / "out.json")
    assert (ngrams.name, curves.name) == ("out.ngrams.svg", "out.densities.svg")
    words = texts(ngrams)
    assert {"2-grams", "3-grams", "45.0", "85.0", "joint", "base LM"} <= set(words)
    assert "1,200 continuations of each kind" in words
    words = texts(curves)
    assert "base LM: means differ by 15.50" in words and "real text" in words
