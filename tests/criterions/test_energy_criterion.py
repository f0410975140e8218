"""All criteria on given energies."""

import math

import pytest
import torch
from fairseq import criterions
from fairseq.logging import metrics
from omegaconf import OmegaConf

from fairseq_ebm.criterions.energy_criterion import in_words
from fairseq_ebm.errors import UserError
from fairseq_ebm.numerics import losses
from fairseq_ebm.numerics.discrimination import balanced_accuracy

NAMES = ("conditional_nce", "ranking_nce", "energy_ranking")
GENERATOR = torch.Generator().manual_seed(0)
ENERGIES = torch.randn(12, 4, generator=GENERATOR) + torch.tensor([-0.5, 0.5, 0.5, 0.5])


def build(name, **options):
    return criterions.build_criterion(OmegaConf.create({"_name": name, **options}), None)


def sample(energies):
    rows = len(energies)
    return {
        "id": torch.arange(rows) + 100,
        "nsentences": rows,
        "ntokens": 7 * rows,
        "net_input": {"energies": energies},
    }


def model(energies):
    return energies


def logged(name, *parts, **options):
    """The numbers that fairseq would show for a batch in parts on several workers."""
    criterion = build(name, **options)
    logs = [criterion(model, sample(part))[2] for part in parts]
    with metrics.aggregate(new_root=True) as meters:
        criterion.reduce_metrics(logs)
    return meters


@pytest.mark.parametrize(
    "name, options, function",
    [
        ("conditional_nce", {}, losses.conditional_nce),
        ("ranking_nce", {}, losses.ranking_nce),
        ("energy_ranking", {}, losses.margin_ranking),
        ("energy_ranking", {"energy_margin": 0.1}, lambda p, n: losses.margin_ranking(p, n, 0.1)),
    ],
)
def test_loss(name, options, function):
    loss, size, _ = build(name, **options)(model, sample(ENERGIES))
    torch.testing.assert_close(loss, function(ENERGIES[:, 0], ENERGIES[:, 1:]).sum())
    assert size == 12


@pytest.mark.parametrize("name", NAMES)
def test_workers_and_parts_add_up(name):
    whole = logged(name, ENERGIES).get_smoothed_values()
    parts = logged(name, ENERGIES[:5], ENERGIES[5:6], ENERGIES[6:]).get_smoothed_values()
    assert whole == pytest.approx(parts, abs=2e-4)
    assert build(name).logging_outputs_can_be_summed()
    for _, value in build(name)(model, sample(ENERGIES))[2].items():
        assert isinstance(value, int) or (torch.is_tensor(value) and value.dim() == 0)


def test_numbers():
    shown = logged("conditional_nce", ENERGIES).get_smoothed_values()
    real, generated = ENERGIES[:, 0], ENERGIES[:, 1:]
    assert shown["accuracy"] == pytest.approx(balanced_accuracy(real, generated), abs=1e-4)
    first = (real.unsqueeze(1) < generated).all(dim=1).double().mean()
    assert shown["p_at_1"] == pytest.approx(float(first), abs=1e-4)
    assert shown["energy_real"] == pytest.approx(float(real.mean()), abs=1e-3)
    assert shown["energy_generated"] == pytest.approx(float(generated.mean()), abs=1e-3)
    assert shown["gain"] == pytest.approx(math.log(4) - shown["loss"], abs=2e-4)
    assert not any(name.startswith("_") for name in shown)


@pytest.mark.parametrize(
    "name, nothing", [("conditional_nce", 4), ("ranking_nce", 4), ("energy_ranking", math.e)]
)
def test_knowing_nothing(name, nothing):
    meters = logged(name, torch.zeros(6, 4))
    shown = meters.get_smoothed_values()
    assert shown["loss"] == pytest.approx(math.log(nothing), abs=1e-4) and shown["gain"] == 0
    assert shown["p_at_1"] == 0.25
    assert shown.get("accuracy", 0.5) == 0.5
    assert in_words(meters).startswith(
        f"loss {math.log(nothing):.4f} nats, 0.0000 from the {math.log(nothing):.4f} of an energy"
    )


@pytest.mark.parametrize("name", NAMES[1:])
def test_no_accuracy_where_only_differences_count(name):
    assert "accuracy" not in logged(name, ENERGIES).get_smoothed_values()
    assert "accuracy" not in in_words(logged(name, ENERGIES))


def test_in_words():
    words = in_words(logged("conditional_nce", torch.tensor([[-2.0, 2.0, 1.0], [1.0, 2.0, -3.0]])))
    assert words == (
        "loss 1.6240 nats, 0.2377 above (worse than) the 1.3863 of an energy that knows nothing; "
        "accuracy 62.5% (chance 50%); the real continuation has the lowest energy in 50.0% "
        "(chance 33.3%); mean energy -0.50 of real and 0.50 of generated text"
    )
    better = in_words(logged("conditional_nce", torch.tensor([[-2.0, 2.0]])))
    assert better.startswith("loss 0.2539 nats, 1.1324 below the 1.3863 of")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", NAMES)
def test_energies_that_are_not_finite(name, bad):
    energies = ENERGIES.clone()
    energies[3, 2] = energies[7, 0] = bad
    with pytest.raises(UserError, match="not finite: windows 103, 107; lower --lr"):
        build(name)(model, sample(energies))


def test_half_precision_is_added_up_in_float32():
    energies = torch.full((4096, 2), 0.01, dtype=torch.float16)
    loss, _, log = build("conditional_nce")(model, sample(energies))
    assert loss.dtype == torch.float32
    assert float(log["energy_real"]) == pytest.approx(4096 * 0.01, rel=1e-3)
