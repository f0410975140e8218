import re

from fairseq_ebm.reports.kinds import draw
from fairseq_ebm.reports.perplexity import error_in_words

PLACE = {"base_ppl": 30.0, "joint": 27.2, "sampling_ci95": [26.8, 27.6]}
REPORT = {
    "kind": "perplexity",
    "num_windows": 1500,
    "num_samples": 1000,
    "base_ppl": 28.0,
    "curve": [
        {
            "num_samples": 10,
            "lower": 25.0,
            "upper": 29.0,
            "joint": 27.0,
            "sampling_ci95": [26.5, 27.5],
        },
        {"num_samples": 1000, "lower": 26.9, "upper": 27.1, "joint": 27.0, "sampling_ci95": None},
    ],
    "per_position": [
        {"position": 33, **PLACE, "lower": 27.0, "upper": 28.5},
        {"position": 34, **PLACE, "lower": 26.0, "upper": 27.0},
    ],
    "last_position": {**PLACE, "exact": 26.4},
}


def texts(path):
    return re.findall(r"<text[^>]*>(.*?)</text>", path.read_text(encoding="utf-8"))


def test_what_the_report_has_is_drawn(tmp_path):
    curve, positions = draw(REPORT, tmp_path / "my out.json")
    assert (curve.name, positions.name) == ("my out.curve.svg", "my out.positions.svg")
    words = texts(curve)
    assert {"10", "1000", "upper bound", "1,500 windows; base LM 28.00"} <= set(words)
    words = texts(positions)
    title = "1,500 windows, 1,000 samples at each position"
    assert {"exact", "bounds", "95% of sampling", title} <= set(words)
    assert any(word.endswith("%") for word in words)


def test_the_same_report_gives_the_same_bytes(tmp_path):
    before = [path.read_bytes() for path in draw(REPORT, tmp_path / "a.json")]
    after = [path.read_bytes() for path in draw(REPORT, tmp_path / "b.json")]
    assert before == after and len(before) == 2


def test_without_curves_nothing_is_drawn(tmp_path):
    assert (
        draw({"kind": "perplexity", "base_ppl": 28.0, "num_windows": 3}, tmp_path / "out.json")
        == []
    )


def test_where_the_error_comes_from():
    parts = {"total": 0.05, "windows": 0.049, "samples": 0.01, "raise": "--max-windows"}
    words = error_in_words(parts)
    assert "5.00%: 4.90% from the choice of windows, 1.00% from sampling" in words
    assert words.endswith("more windows would lower it, more samples hardly")
    alone = {"total": None, "windows": None, "samples": 0.01, "raise": None}
    assert "unknown" in error_in_words(alone)
