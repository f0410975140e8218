import copy

from fairseq_ebm.reports.detection import draw, pictures, table
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
    (_, figure), *_ = pictures(report)
    area = sum(bar.get_width() * bar.get_height() for bar in figure.axes[0].patches)
    assert abs(area - 1) < 1e-6
    below, above, far = (bar.get_facecolor() for bar in figure.axes[0].patches)
    assert below != above == far


def test_nothing_to_draw(tmp_path):
    """Whole texts stand in no pairs, and a language model's scores are on no one scale."""
    report = detection()
    energy = report["rows"][0]
    report["rows"] = [{**energy, "scorer": "lrr"}, {**energy, "differences": None}]
    assert draw(report, tmp_path / "out.json") == []


def test_the_table():
    lines = table([{**row, "tpr_at_fpr_1": 0.125} for row in detection()["rows"]]).splitlines()
    assert lines[1] == "neg: 4 real, 8 generated" and len(lines) == 4
    assert lines[2].split() == ["energy", "75.0%", "75.0%", "75.0%", "75.0%", "12.5%"]
