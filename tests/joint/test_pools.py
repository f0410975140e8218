"""Pools on disk: what is no such record is named, with its file and line."""

import json

import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.joint.pools import is_pools, read_pools
from tests.joint.records import record


def written(path, *records):
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


@pytest.mark.parametrize(
    "broken",
    [
        {"pools": []},
        {"real": None},
        {"draws": []},
        {"kind": "perplexity"},
        {"pools": [{}]},
        {"pools": {"tokens": [], "energies": [], "log_p": []}},
        {"draws": ["text"]},
        {"real": {"text": "r"}},
    ],
)
def test_other_records_are_named(tmp_path, broken):
    path = written(tmp_path / "pools.jsonl", record(1, [4], [5], [6]))
    with path.open("a") as file:
        file.write(json.dumps({**record(2, [4], [5], [6]), **broken}) + "\n")
    with pytest.raises(UserError, match="line 2: not a prompt, its pools and"):
        list(read_pools(path, with_real=True))


def test_not_json(tmp_path):
    (tmp_path / "x").write_text("no\n")
    with pytest.raises(UserError, match="line 1"):
        list(read_pools(tmp_path / "x"))
    with pytest.raises(UserError, match="No such file"):
        list(read_pools(tmp_path / "y"))


def test_another_version(tmp_path):
    path = written(tmp_path / "pools.jsonl", {**record(1, [4], [5], [6]), "format_version": 0})
    with pytest.raises(UserError, match=r"line 1: format version 0.* generate again"):
        list(read_pools(path))


def test_what_really_follows_is_asked_for_where_it_is_needed(tmp_path):
    typed = record(1, [4], [5], [6])
    del typed["real"]
    path = written(tmp_path / "pools.jsonl", typed)
    assert is_pools(path) and list(read_pools(path)) == [typed]
    with pytest.raises(UserError, match="and what really follows"):
        list(read_pools(path, with_real=True))
