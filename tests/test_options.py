"""Options: one check for command lines and Python; which part of the work is whose."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

import pytest

from fairseq_ebm.errors import OptionError, UserError
from fairseq_ebm.options import (
    REQUIRED,
    Machine,
    Options,
    Shards,
    file,
    flag,
    whole,
)


@dataclass(frozen=True)
class Some(Options):
    files: Tuple[Path, ...] = file(REQUIRED, "files", "FILE", argument=True, many=True)
    count: int = whole(3, "how many", 1, 10)
    out: Optional[Path] = file(None, "where", "OUT")
    loud: bool = flag("or not")


def test_values_are_read_from_text_and_from_python_alike():
    assert Some(files=["a", Path("b")], count="4", out="c") == Some(
        files=(Path("a"), Path("b")), count=4, out=Path("c")
    )
    assert Some(files="a").files == (Path("a"),) and not Some(files="a").loud
    assert Some(files="a").recorded("files", "count", "out") == {
        "files": ["a"], "count": 3, "out": None
    }  # fmt: skip


def test_errors_name_the_parameter_and_programs_the_flag():
    with pytest.raises(OptionError, match=r"^files: needed$") as error:
        Some()
    assert str(error.value.in_flags(Some.arguments())) == "FILE: needed"
    with pytest.raises(OptionError, match=r"^count: '11' is not a whole number from 1 up to 10"):
        Some(files="a", count=11)
    with pytest.raises(OptionError, match=r"^count: '2\.5' is not"):
        Some(files="a", count=2.5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"files": None}, "files: needed"),
        ({"files": [None]}, "files: None is no text"),
        ({"files": ""}, "files: an empty path"),
        ({"files": "a", "count": None}, "count: needed"),
        ({"files": "a", "count": True}, "count: 'True' is not a whole number"),
        ({"files": "a", "loud": "no"}, "loud: 'no' is neither True nor False"),
        ({"files": "a", "loud": None}, "loud: needed"),
    ],
)
def test_what_is_no_value_is_refused(wrong, words):
    with pytest.raises(OptionError, match=f"^{words}"):
        Some(**wrong)


NAMES = ["RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"]
NAMES += ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"]
NAMES += ["SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_STEP"]


def found(monkeypatch, shard_id=None, num_shards=None, **environment):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    return Shards(shard_id=shard_id, num_shards=num_shards).shard


def test_where_the_shard_comes_from(monkeypatch):
    assert found(monkeypatch) == (0, 1)
    assert found(monkeypatch, 2, 5) == (2, 5)
    assert found(monkeypatch, RANK=1, WORLD_SIZE=4) == (1, 4)
    assert found(monkeypatch, 2, 5, RANK=1, WORLD_SIZE=4) == (2, 5)
    assert found(monkeypatch, SLURM_PROCID=3, SLURM_NTASKS=8) == (3, 8)


def test_an_array_of_tasks(monkeypatch):
    array = {"SLURM_ARRAY_TASK_COUNT": 3, "SLURM_ARRAY_TASK_MIN": 1}
    parts = [
        found(monkeypatch, SLURM_ARRAY_TASK_ID=t, SLURM_PROCID=p, SLURM_NTASKS=2, **array)
        for t in (1, 2, 3)
        for p in (0, 1)
    ]
    assert parts == [(i, 6) for i in range(6)]


def test_an_array_with_a_step(monkeypatch):
    """sbatch --array=0-8:2, and 1-8:3, whose last task is 7."""
    for least, most, step, count in ((0, 8, 2, 5), (1, 8, 3, 3), (4, 4, 1, 1)):
        array = {"COUNT": count, "MIN": least, "MAX": most, "STEP": step}
        array = {f"SLURM_ARRAY_TASK_{name}": value for name, value in array.items()}
        tasks = range(least, most + 1, step)
        parts = [found(monkeypatch, SLURM_ARRAY_TASK_ID=task, **array) for task in tasks]
        assert parts == [(i, count) for i in range(count)]


def test_an_array_that_is_a_list(monkeypatch):
    """sbatch --array=1,5,9"""
    array = {"COUNT": 3, "MIN": 1, "MAX": 9, "STEP": 1, "ID": 5}
    array = {f"SLURM_ARRAY_TASK_{name}": value for name, value in array.items()}
    with pytest.raises(UserError, match="not evenly spaced"):
        found(monkeypatch, **array)


def test_torchrun_inside_slurm_counts_once(monkeypatch):
    slurm = {"SLURM_PROCID": 1, "SLURM_NTASKS": 2}
    assert found(monkeypatch, RANK=9, WORLD_SIZE=16, **slurm) == (9, 16)


@pytest.mark.parametrize("pair", [(5, 5), (-1, 2), (0, 0), (1, None), (None, 2)])
def test_shards_that_are_none(monkeypatch, pair):
    with pytest.raises(UserError, match="shard"):
        found(monkeypatch, *pair)


def test_precision():
    assert [Machine().precision, Machine(bf16=True).precision] == ["fp32", "bf16"]
    assert Machine(cpu=True).device.type == "cpu"
    with pytest.raises(UserError, match="fp16"):
        Machine(fp16=True, bf16=True)
