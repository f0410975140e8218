import copy

from fairseq_ebm.reports.figures import drawn
from fairseq_ebm.reports.kinds import draw, items_of
from fairseq_ebm.reports.page import Picture
from tests.reports.records import detection
from tests.reports.test_perplexity import texts


def test_a_panel_for_each_energy(tmp_path):
    report = detection()
    other = copy.deepcopy(report["rows"][0])
    report["rows"].append({**other, "input": "stores/$other$"})
    (path,) = draw(report, tmp_path / "out.json")
    words = texts(path)
    assert path.name == "out.differences.svg"
    assert {"neg: 75.0% above 0", "$other$: 75.0% above 0"} <= set(words)
    assert words.count("energy of generated − energy of real text") == 2
    figure = drawn(next(item for item in items_of(report) if isinstance(item, Picture)))
    area = sum(bar.get_width() * bar.get_height() for bar in figure.axes[0].patches)
    assert abs(area - 1) < 1e-6
    below, above, far = (bar.get_facecolor() for bar in figure.axes[0].patches)
    assert below != above == far


def test_the_margin_of_a_ranking_loss(tmp_path):
    report = detection()
    report["rows"][0]["differences"].update(margin=0.25, above_margin=0.625)
    (path,) = draw(report, tmp_path / "out.json")
    assert "neg: 75.0% above 0, 62.5% above the margin of 0.25" in texts(path)
    (said,) = [i for i in items_of(report) if isinstance(i, str) and "on average" in i]
    assert said.endswith(
        "above 0 in 75.0%, above the margin of 0.25 in 62.5%, where the ranking loss is 0."
    )


def test_texts_are_shown_on_one_line_each():
    window = {"context": "a\nb", "texts": [{"energy": -1.5, "by": "real", "text": "c\nd"}]}
    (table,) = [
        t
        for t in items_of({**detection(), "shown": [window]})
        if getattr(t, "heads", [""])[0] == "energy"
    ]
    assert table.rows == [["-1.50", "real", "c ⏎ d"]] and table.note == "after: a ⏎ b"


def test_nothing_to_draw(tmp_path):
    """Whole texts stand in no pairs, and a language model's scores are on no one scale."""
    report = detection()
    energy = report["rows"][0]
    report["rows"] = [{**energy, "scorer": "lrr"}, {**energy, "differences": None}]
    assert draw(report, tmp_path / "out.json") == []


def test_whole_texts_are_counted():
    counts = {"texts": 9, "blocks": 12, "empty": 1, "bad_lines": 0, "short": 2, "too_short": 0}
    words = items_of({**detection(), "texts": {"r.jsonl": counts}})
    assert "r.jsonl: 9 texts, 12 blocks (1 empty, 2 short)" in words
