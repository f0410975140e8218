"""What the verb and its page may be asked."""

import pytest

from fairseq_ebm.errors import OptionError
from fairseq_ebm.explore.options import MOST_CHARACTERS, Explore, Judge, Likely, Next, Write


def test_a_folder_of_reports_alone(tmp_path):
    options = Explore(data=tmp_path)
    assert options.reports == tmp_path and options.is_open
    with pytest.raises(OptionError, match=r"data: .*missing: no such folder"):
        Explore(data=tmp_path / "missing")
    with pytest.raises(OptionError, match="store: needs path"):
        Explore(data=tmp_path, store="neg")


def test_reports_beside_models(tmp_path):
    options = Explore(data="data", path="lm.pt:e.pt", results=tmp_path)
    assert options.reports == tmp_path
    assert Explore(data="data", path="lm.pt:e.pt").reports is None
    with pytest.raises(OptionError, match=r"results: .*no such folder"):
        Explore(data="data", path="lm.pt:e.pt", results=tmp_path / "missing")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_who_else_can_reach_it(host, tmp_path):
    assert not Explore(data=tmp_path, host=host).is_open


def test_this_machine_has_other_users(tmp_path):
    assert not Explore(data=tmp_path, token=True).is_open
    with pytest.raises(OptionError, match="host: an empty address"):
        Explore(data=tmp_path, host="")


BAD = [
    (Write, {"prompt": "a" * (MOST_CHARACTERS + 1)}, "prompt: 20,001 characters; 20,000 are the"),
    (Write, {"prompt": 3}, "prompt: no text"),
    (Write, {"prompt": "\ud83d"}, "prompt: holds half a character"),
    (Write, {"proposals": 10**6}, "proposals: '1000000' is not a whole number from 2 up to 4096"),
    (Write, {"proposals": True}, "proposals: 'True' is not"),
    (Write, {"draws": 0}, "draws: '0' is not"),
    (Write, {"seed": -1}, "seed: '-1' is not"),
    (Judge, {"text": "", "seed": 2**32}, "seed: '4294967296' is not a whole number from 0 up to"),
    (Write, {"top_k": 2.5}, "top_k: '2.5' is not"),
    (Likely, {}, "continuation: needed"),
    (Judge, {"text": None}, "text: needed"),
    (Judge, {"text": ["a"]}, "text: no text"),
    (Next, {"position": -1}, "position: '-1' is not"),
]


@pytest.mark.parametrize(("kind", "given", "message"), BAD)
def test_bad_questions(kind, given, message):
    with pytest.raises(OptionError, match=message):
        kind(**given)


def test_lines_end_alike():
    assert Judge(text="a\r\nb\rc\n").text == "a\nb\nc\n"


def test_the_page_calls_fields_by_its_own_names():
    assert Write.labels()["top_k"] == "Top-k" and Likely.labels()["prefix"] == "Beginning"
