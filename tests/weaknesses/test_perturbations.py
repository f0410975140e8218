from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary

from fairseq_ebm.data.tokenizers import SymbolTokenizer
from fairseq_ebm.lm.checkpoint import LoadedLM
from fairseq_ebm.lm.scoring import token_log_probs
from fairseq_ebm.weaknesses import perturbations
from fairseq_ebm.weaknesses.units import Tokens
from tests.lm import models
from tests.models import energies

WINDOWS = torch.tensor([[4, 5, 6, 7], [8, 9, 4, 4], [5, 5, 5, 9]])


def test_rows_by_hand():
    """A judge to which places matter: Σ_t t x_t."""
    place = torch.arange(1.0, 5.0, dtype=torch.float64)
    judges = {"energy": lambda windows: (windows * place).sum(dim=1)}
    before = {"energy": judges["energy"](WINDOWS)}
    unit, places = Tokens(SymbolTokenizer(Dictionary())), perturbations.everywhere([0, 3], WINDOWS)
    found = perturbations.perturbed(WINDOWS, places, unit, {"common": 5}, judges, before)
    rows = {(row["perturbation"], row["position"]): row for row in found}
    assert list(rows) == [("common", 1), ("swap", 1), ("common", 4), ("swap", 4)]
    changes = {
        ("common", 1): [1, -3, 0],
        ("swap", 1): [5 + 8 - 14, 9 + 16 - 26, 0],
        ("common", 4): [-8, 4, -16],
        ("swap", 4): [21 + 24 - 18 - 28, 0, 27 + 20 - 15 - 36],
    }
    for key, values in changes.items():
        change = rows[key]["energy_change"]
        assert change["mean"] == pytest.approx(np.mean(values))
        assert change["standard_error"] == pytest.approx(np.std(values, ddof=1) / 3**0.5)
        now = before["energy"].numpy() + values
        assert rows[key]["energy"]["mean"] == pytest.approx(now.mean())
        assert rows[key]["energy"]["standard_error"] == pytest.approx(now.std(ddof=1) / 3**0.5)


def test_a_single_window_has_no_error():
    assert perturbations.mean(torch.tensor([2.0])) == {"mean": 2.0, "standard_error": None}


def test_positions_are_spread():
    assert perturbations.spread(4, 10) == [0, 3, 6, 9]
    assert perturbations.spread(100, 5) == [0, 1, 2, 3, 4]
    assert perturbations.spread(1, 5) == [0]


def test_the_usual_words_to_put_in():
    """A name is no word that also stands there in small letters; a comma is no common word."""
    dictionary = Dictionary()
    for symbol in ("the", "Ab", "4th", "John", "NASA", ",", "The", "Jane"):
        dictionary.add_symbol(symbol)
    unit = Tokens(SymbolTokenizer(dictionary))
    windows = torch.tensor([[2, 9, 9, 9, 10, 10, 4], [2, 5, 5, 5, 7, 7, 4]])
    assert {n: unit.text(u) for n, u in perturbations.usual(unit, windows).items()} == {
        "entity": "John",
        "common": "Ab",
    }
    assert perturbations.usual(unit, torch.tensor([[9, 2]])) == {"common": 9}
    assert perturbations.usual(unit, torch.tensor([[2, 2]])) == {}


def test_energies_of_many_windows():
    model = energies.build("energy_bilstm")
    windows = torch.randint(4, energies.SYMBOLS, (300, 6), generator=torch.manual_seed(1))
    found = perturbations.energy_judge(model)(windows)
    assert found.dtype == torch.float64 and found.std() > 0.01
    torch.testing.assert_close(found.float(), model.energy(windows).detach())


@pytest.mark.parametrize("right_to_left", [False, True])
def test_nll_of_a_token(right_to_left):
    model = models.build("pre-norm")
    lm = LoadedLM(model, Path(), "", "", "fp32", models.dictionary(), right_to_left)
    windows = torch.randint(4, 12, (70, 5), generator=torch.manual_seed(1))
    read = windows.flip(1) if right_to_left else windows
    every = token_log_probs(model, read, 0, without_padding=True)
    found = perturbations.nll_judge(lm)(windows)
    torch.testing.assert_close(found, -every.double().mean(dim=1))


@pytest.mark.parametrize("right_to_left", [False, True])
def test_nll_leaves_padding_out(right_to_left):
    model = models.build("pre-norm")
    lm = LoadedLM(model, Path(), "", "", "fp32", models.dictionary(), right_to_left)
    judge = perturbations.nll_judge(lm)
    window = torch.randint(4, 12, (1, 5), generator=torch.manual_seed(1))
    longer = torch.tensor([[4, 5, 6, 7, 8, 9, 10]])
    both = torch.cat([torch.nn.functional.pad(window, (0, 2), value=1), longer])
    torch.testing.assert_close(judge(both), torch.cat([judge(window), judge(longer)]))
