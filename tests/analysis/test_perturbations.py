import numpy as np
import pytest
import torch
from fairseq.data import Dictionary

from fairseq_ebm.analysis import perturbations
from fairseq_ebm.data.tokenizers import (
    SentencePieceTokenizer,
    SymbolTokenizer,
    train_sentencepiece,
)
from fairseq_ebm.errors import UserError
from fairseq_ebm.lm.checkpoint import BaseLM
from fairseq_ebm.lm.scoring import token_log_probs
from tests.lm import models
from tests.models import energies

WINDOWS = torch.tensor([[4, 5, 6, 7], [8, 9, 4, 4], [5, 5, 5, 9]])


def test_one_token_replaced():
    found = perturbations.replaced(WINDOWS, 2, 11)
    assert found.tolist() == [[4, 5, 11, 7], [8, 9, 11, 4], [5, 5, 11, 9]]
    assert WINDOWS[0].tolist() == [4, 5, 6, 7]


def test_neighbours_swapped():
    assert perturbations.swapped(WINDOWS, 0)[0].tolist() == [5, 4, 6, 7]
    assert perturbations.swapped(WINDOWS, 2)[0].tolist() == [4, 5, 7, 6]
    assert perturbations.swapped(WINDOWS, 3)[0].tolist() == [4, 5, 7, 6]  # has only one neighbour
    assert perturbations.swapped(WINDOWS[:, :1], 0).tolist() == [[4], [8], [5]]


def test_rows_by_hand():
    """A judge to which places matter: Σ_t t x_t."""
    place = torch.arange(1.0, 5.0, dtype=torch.float64)
    judges = {"energy": lambda windows: (windows * place).sum(dim=1)}
    before = {"energy": judges["energy"](WINDOWS)}
    found = perturbations.perturbed(WINDOWS, [0, 3], {"most frequent": 5}, judges, before)
    rows = {(row["perturbation"], row["position"]): row for row in found}
    assert list(rows) == [("most frequent", 1), ("swap", 1), ("most frequent", 4), ("swap", 4)]
    changes = {
        ("most frequent", 1): [1, -3, 0],
        ("swap", 1): [5 + 8 - 14, 9 + 16 - 26, 0],
        ("most frequent", 4): [-8, 4, -16],
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


def test_tokens_to_put_in():
    dictionary = Dictionary()
    for symbol in ("the", "Ab", "4th", "John", "NASA", "x"):
        dictionary.add_symbol(symbol)
    tokenizer = SymbolTokenizer(dictionary)
    windows = torch.tensor([[2, 2, 2, 4, 4, 4, 4], [2, 5, 5, 5, 7, 7, 8]])
    assert perturbations.by_frequency(windows) == [4, 5, 7, 8]
    assert perturbations.first_name([4, 5, 6, 8, 7], tokenizer) == 8
    assert perturbations.first_name([4, 5, 6], tokenizer) is None
    assert perturbations.the_token("John", tokenizer) == 7
    with pytest.raises(UserError, match="--entity: 'Jane' is not one token"):
        perturbations.the_token("Jane", tokenizer)


def test_words_come_with_their_space():
    text = ["John met John, and John met nobody."] * 20
    tokenizer = SentencePieceTokenizer(train_sentencepiece(text, 290))
    token = perturbations.the_token("John", tokenizer)
    assert tokenizer.decode([token]) == " John"
    with pytest.raises(UserError, match="'Johannes' is not one token"):
        perturbations.the_token("Johannes", tokenizer)


def test_energies_of_many_windows():
    model = energies.build("energy_bilstm")
    windows = torch.randint(4, energies.SYMBOLS, (300, 6), generator=torch.manual_seed(1))
    found = perturbations.energy_judge(model)(windows)
    assert found.dtype == torch.float64 and found.std() > 0.01
    torch.testing.assert_close(found.float(), model.energy(windows).detach())


@pytest.mark.parametrize("right_to_left", [False, True])
def test_nll_of_a_token(right_to_left):
    model = models.build("pre-norm")
    lm = BaseLM(model, models.dictionary(), "", "", right_to_left, "fp32")
    windows = torch.randint(4, 12, (70, 5), generator=torch.manual_seed(1))
    read = windows.flip(1) if right_to_left else windows
    every = token_log_probs(model, read, 0, without_padding=True)
    found = perturbations.nll_judge(lm)(windows)
    torch.testing.assert_close(found, -every.double().mean(dim=1))
