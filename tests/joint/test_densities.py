import numpy as np
import pytest
from fairseq_ebm.joint.densities import densities

from fairseq_ebm.joint.pools import Generation, Text


def test_a_model_of_the_data_has_no_difference():
    """Base: own text 5 nats likelier than real text. Joint: the same distribution."""
    generator = np.random.default_rng(0)
    values = generator.normal(-50, 3, size=(4, 2000))
    generations = [
        Generation(
            Text([1], base, joint), Text([1], base_own, 0.0), Text([1], 0.0, joint_own), False
        )
        for base, joint, base_own, joint_own in zip(values[0], values[1], values[2] + 5, values[3])
    ]
    found = densities(generations)
    assert found["base"]["difference"] == pytest.approx(5, abs=0.3)
    error = found["joint"]["standard_error"]
    assert error == pytest.approx(np.sqrt(18 / 2000), rel=0.1)
    assert abs(found["joint"]["difference"]) < 4 * error
    assert found["base"]["samples"] == pytest.approx((values[2] + 5).tolist())
    assert densities(generations[:1])["base"]["standard_error"] is None
