import pytest
import torch
from fairseq.models.roberta import RobertaEncoder

from tests.models.energies import SMALL, build, dictionary, windows


def test_features_are_those_of_fairseqs_roberta():
    from argparse import Namespace  # noqa: PLC0415

    model = build("energy_roberta")
    arguments = Namespace(**SMALL["energy_roberta"], dropout=0.0, max_positions=512)
    roberta = RobertaEncoder(arguments, dictionary()).eval()
    roberta.sentence_encoder.load_state_dict(model.encoder.state_dict(), strict=True)
    batch = windows()[0]
    start = batch.new_full((len(batch), 1), dictionary().bos())
    features, _ = roberta(torch.cat([start, batch], dim=1), features_only=True)
    expected = model.head.projection(features.mean(dim=1))[:, 0]
    torch.testing.assert_close(model.energy(batch), expected)


@pytest.mark.parametrize("changed", [0, 10])
def test_the_first_position_sees_all(changed):
    model, batch = build("energy_roberta", energy_pooling="first"), windows()[0, :1]
    other = batch.clone()
    other[0, changed] = 4 + (other[0, changed] - 3) % 50
    assert not torch.allclose(model.energy(batch), model.energy(other), atol=1e-7)


def test_positions():
    model = build("energy_roberta", max_positions=12)
    assert model.max_positions() == 11
    assert model.energy(windows(length=11)[0]).shape == (4,)
    with pytest.raises((IndexError, RuntimeError)):
        model.energy(windows(length=12)[0])
