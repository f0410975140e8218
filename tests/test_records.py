"""Records come back from JSON; what cannot be read is named."""

import dataclasses
import json
import math

import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.records import number_of, read_json, write_json


@dataclasses.dataclass(frozen=True)
class Example:
    name: str
    values: list


def test_round_trip(tmp_path):
    record = Example("schön", [1, 0.1, None])
    write_json(record, tmp_path / "record.json")
    assert Example(**read_json(tmp_path / "record.json")) == record
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("content", ["{", "[1, 2]", ""])
def test_what_is_no_record(tmp_path, content):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(UserError, match=r"bad\.json: not "):
        read_json(tmp_path / "bad.json")


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json")


def test_json_that_every_parser_reads(tmp_path):
    values = [1.5, math.nan, math.inf, -math.inf]
    write_json({"a": {"b": values}, "c": (math.inf,)}, tmp_path / "record.json")
    text = (tmp_path / "record.json").read_text()

    def refuse(name):
        raise AssertionError(name)

    found = json.loads(text, parse_constant=refuse)
    assert found == {"a": {"b": [1.5, None, "Infinity", "-Infinity"]}, "c": ["Infinity"]}
    back = [number_of(value) for value in found["a"]["b"]]
    assert back[0] == 1.5 and math.isnan(back[1]) and back[2:] == [math.inf, -math.inf]
