"""Several models as one distribution: how it is written, and that it is that, by enumeration."""

import itertools

import pytest
import torch

from fairseq_ebm.errors import UserError
from fairseq_ebm.joint.checkpoints import load_joint_checkpoints
from fairseq_ebm.joint.formula import Expert, WeightedSum, parse, split_names
from fairseq_ebm.joint.model import Joint, Streams
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.lm.scoring import token_log_probs
from fairseq_ebm.numerics.partition import log_partition_bounds
from tests.lm.models import build

CPU = torch.device("cpu")
LENGTH = 3


@pytest.fixture(scope="module")
def other_lm(sums_lm, tmp_path_factory):
    path = tmp_path_factory.mktemp("other") / "lm.pt"
    path.write_bytes(sums_lm.read_bytes())
    return path


@pytest.fixture(scope="module")
def world():
    """A base, an expert of another kind, an amateur, an energy; all continuations of a prefix."""
    models = [build("post-norm"), build("lstm"), build("pre-norm")]
    table = torch.randn(99, generator=torch.Generator().manual_seed(2)).double()
    symbols = [i for i in range(len(models[0].decoder.dictionary)) if i != 1]
    windows = torch.tensor([[5, 7, *rest] for rest in itertools.product(symbols, repeat=LENGTH)])
    return models, lambda windows, shared: table[windows].sum(dim=-1), windows


def log_p(model, windows, first):
    return token_log_probs(model, windows, first, without_padding=True).double().sum(dim=1)


def test_an_expert_is_the_whole_windows_log_probability(world):
    models, _, windows = world
    some = torch.stack([windows[::97][:6], windows[::89][:6]])
    for model in models:
        whole = -log_p(model, some.flatten(0, 1), 0).view(2, 6)
        for shared in (0, 2, windows.size(1)):
            assert torch.allclose(Expert(model)(some, shared), whole, atol=1e-4)


def test_bounds_and_draws_are_those_of_the_enumerated_product(world):
    (base, expert, amateur), energy, windows = world
    weights = (0.5, 0.4, -0.3)
    total = WeightedSum([energy, Expert(expert), Expert(amateur)], weights)
    by_hand = weights[0] * energy(windows, 0)
    for model, weight in ((expert, 0.4), (amateur, -0.3)):
        by_hand = by_hand - weight * log_p(model, windows, 0)
    assert torch.allclose(total(windows[None], 2)[0], by_hand, atol=1e-3)
    truth = torch.logsumexp(log_p(base, windows, 2) - by_hand, dim=0)
    joint = Joint(base, Sampler(base), total)
    pool = joint.pool(windows[:1, :2], 30_000, LENGTH, Streams(1, "test", [0]))
    bounds = log_partition_bounds(pool)[:4]
    lower, upper, jackknife, error = (float(each) for each in bounds)
    assert lower <= upper and error < 0.05
    assert abs(jackknife - float(truth)) < 4 * error


def test_what_prefixes_alone_say(world):
    (base, expert, amateur), energy, _ = world
    total = WeightedSum([energy, Expert(expert), Expert(amateur)], (0.5, 0.4, -0.3))
    joint = Joint(base, Sampler(base), total)
    prefixes = torch.tensor([[5, 7], [8, 4]])
    expected = -0.4 * log_p(expert, prefixes, 0) + 0.3 * log_p(amateur, prefixes, 0)
    assert torch.allclose(joint.of_prefix(prefixes), expected, atol=1e-4)
    assert (Joint(base, Sampler(base), energy).of_prefix(prefixes) == 0).all()
    assert (joint.of_prefix(prefixes[:, :0]) == 0).all()


def test_the_terms_apart(world):
    models, energy, windows = world
    terms = [energy, Expert(models[1])]
    total = WeightedSum(terms, (2.0, -1.0))
    each = total.each(windows[None, :5], 2)
    assert each.shape == (2, 1, 5)
    assert torch.allclose(total(windows[None, :5], 2), 2 * each[0] - each[1])


def test_how_it_is_written(sums_lm, sums_energy, other_lm, tmp_path):
    plain = parse(f"{sums_energy}:{sums_lm}")
    assert plain.is_plain and plain.paths == [sums_lm, sums_energy]
    assert parse(str(sums_lm)).is_plain and parse(str(sums_lm)).in_words == "P_LM"
    assert parse(f"{sums_lm}:{sums_energy}").in_words == "P_LM · exp(-E_1)"
    several = parse(f"{other_lm}*-0.3:{sums_lm}:{sums_energy}*0.5:{sums_energy}*-2")
    assert several.base == sums_lm and not several.is_plain
    assert several.weights == (0.5, -2.0, -0.3)
    assert several.in_words == "P_LM · P_1^-0.3 · exp(-0.5 E_1 + 2 E_2)"
    assert several.weighted((-0.5, 2, 3)).in_words == "P_LM · P_1^3 · exp(0.5 E_1 - 2 E_2)"
    assert several.weighted((1, 2, 3)).in_words == "P_LM · P_1^3 · exp(-E_1 - 2 E_2)"
    assert not parse(f"{sums_lm}:{sums_energy}*0.5").is_plain
    starred = tmp_path / "a*b.pt"
    starred.write_bytes(sums_lm.read_bytes())
    assert parse(str(starred)).base == starred
    assert parse(f"hf:x/y:{sums_energy}*3").paths[0].as_posix() == "hf:x/y"
    assert split_names("hf:a:b:hf:c") == ["hf:a", "b", "hf:c"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("{lm}:{ralm}", "language models: 2, energies: 0; give one language model, or the others"),
        ("{lm}*1:{ralm}*2", "the one that proposes has no weight"),
        ("{energy}", "language models: 0, energies: 1; give one language model"),
        ("{lm}:{ralm}*nan", "nan is no weight"),
        ("{lm}:missing.pt*0.5", "missing.pt: no such file"),
    ],
)
def test_refused(sums_lm, sums_energy, other_lm, path, problem):
    with pytest.raises(UserError, match=problem.replace("*", r"\*")):
        parse(path.format(lm=sums_lm, energy=sums_energy, ralm=other_lm))


def test_loaded(sums, sums_lm, sums_energy, other_lm):
    path = f"{sums_lm}:{sums_energy}*0.5:{other_lm}*0.25"
    models = load_joint_checkpoints(path, sums, "fp32", CPU)
    assert models.judges and [len(models.energies), len(models.experts)] == [1, 1]
    models.require_density()
    (named,) = models.also_named().values()
    assert named["is"] == "P_LM · P_1^0.25 · exp(-0.5 E_1)"
    assert [(t["kind"], t["weight"]) for t in named["terms"]] == [
        ("energy", 0.5), ("language_model", 0.25),
    ]  # fmt: skip
    joint = models.joint()
    windows = torch.randint(4, 14, (2, 3, 10), generator=torch.Generator().manual_seed(1))
    energy, expert = joint.energy.terms
    expected = 0.5 * energy(windows, 0).double() + 0.25 * expert(windows, 0)
    assert torch.allclose(joint.energies(windows, 0), expected, atol=1e-5)
    plain = load_joint_checkpoints(f"{sums_lm}:{sums_energy}", sums, "fp32", CPU)
    assert plain.also_named() == {} and plain.named()["energy"].path == sums_energy
