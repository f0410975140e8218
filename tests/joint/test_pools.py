import json
import math

import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.joint.pools import read_generations
from tests.joint.records import record


def write(path, *records):
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def test_log_probabilities_under_both_models(tmp_path):
    path = write(tmp_path / "pools.jsonl", record(3, [4, 5], [6, 7], [8, 9], (0.5, 0.5)))
    (found,) = read_generations(path)
    assert (found.real.tokens, found.base.tokens, found.joint.tokens) == ([4, 5], [6, 7], [8, 9])
    assert (found.real.log_lm, found.base.log_lm) == (-12.0, -10.0)
    log_z = -0.5  # of equal energies, exactly
    assert found.real.log_joint == pytest.approx(-12.0 + 1.0 - log_z)
    assert found.joint.log_joint == pytest.approx(-10.0 - 0.5 - log_z)


def test_an_infinite_energy(tmp_path):
    path = write(tmp_path / "pools.jsonl", record(1, [4], [5], [6], (math.inf, 0.0)))
    (found,) = read_generations(path)
    assert found.base.log_joint == -math.inf and found.base.log_lm == -10.0


def test_energies_keep_their_digits(tmp_path):
    path = write(tmp_path / "pools.jsonl", record(1, [4], [5], [6], (0.1, 0.1)))
    (found,) = read_generations(path)
    assert found.base.log_joint == pytest.approx(-10.0, abs=1e-12)  # log Z is -0.1


def test_a_truncated_pool_tells_no_z(tmp_path):
    path = write(tmp_path / "pools.jsonl", record(1, [4], [5], [6], truncated=True))
    (found,) = read_generations(path)
    assert found.truncated and found.joint.tokens == [6] and found.joint.log_lm == -10.0
    assert found.real.log_joint is found.base.log_joint is found.joint.log_joint is None


@pytest.mark.parametrize(
    "broken",
    [
        {"pools": []},
        {"real": None},
        {"draws": []},
        {"real": {"tokens": [4, 5, 6], "log_p": -12.0, "energy": -1.0}},
    ],
)
def test_other_records_are_named(tmp_path, broken):
    path = write(tmp_path / "pools.jsonl", record(1, [4], [5], [6]))
    with path.open("a") as file:
        file.write(json.dumps({**record(2, [4], [5], [6]), **broken}) + "\n")
    with pytest.raises(UserError, match="line 2: not a prompt with its pool"):
        list(read_generations(path))


def test_not_json(tmp_path):
    (tmp_path / "x").write_text("no\n")
    with pytest.raises(UserError, match="line 1"):
        list(read_generations(tmp_path / "x"))
    with pytest.raises(UserError, match="no such file"):
        list(read_generations(tmp_path / "y"))
