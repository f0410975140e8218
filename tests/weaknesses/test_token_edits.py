"""Gradients against finite differences, edits against enumeration."""

import pytest
import torch

from fairseq_ebm.data.tokenizers import SymbolTokenizer
from fairseq_ebm.weaknesses import token_edits
from fairseq_ebm.weaknesses.perturbations import energy_judge
from fairseq_ebm.weaknesses.token_edits import Edit, EditedText, Editor, first_order
from fairseq_ebm.weaknesses.units import editable
from tests.models.energies import SMALL, SYMBOLS, build, dictionary

WINDOW = torch.tensor([7, 30, 12, 51, 30, 9])


def move(model, tokens, displacement):
    """E (N,) of windows (N, T) whose vectors, as the embedding gives them, are moved (N, T, d)."""

    def add(module, inputs, output):
        before = output.size(1) - tokens.size(1)  # what a model puts in front
        return output + torch.nn.functional.pad(displacement, (0, 0, before, 0))

    hook = model.token_embedding().register_forward_hook(add)
    with torch.no_grad():
        energies = model.energy(tokens).double()
    hook.remove()
    return energies


def finite_differences(model, window, step):
    """(E(x + h Δ) - E(x - h Δ)) / 2h for Δ = emb(v) - emb(x_t), every t and v: (T, V)"""
    vectors = model.token_embedding().weight.detach()
    length, (symbols, width) = len(window), vectors.shape
    moves = torch.zeros(length, symbols, length, width, dtype=vectors.dtype)
    for t in range(length):
        moves[t, :, t] = step * (vectors - vectors[window[t]])
    moves = moves.flatten(0, 1)
    tokens = window.expand(len(moves), -1)
    change = move(model, tokens, moves) - move(model, tokens, -moves)
    return (change / (2 * step)).view(length, symbols)


WITH_VECTORS = [arch for arch in SMALL if arch != "energy_ngram"]


@pytest.mark.parametrize("arch", WITH_VECTORS)
def test_ranking_is_that_of_small_moves(arch):
    model = build(arch).double()
    found = first_order(model, WINDOW).double()
    true = finite_differences(model, WINDOW, step=3e-4)
    assert found.shape == (len(WINDOW), SYMBOLS) and true.std() > 0.01
    torch.testing.assert_close(found, true, rtol=0, atol=0.01 * float(true.abs().max()))
    best, best_true = (each.flatten().argsort(descending=True)[:3] for each in (found, true))
    assert best.tolist() == best_true.tolist()


def test_ngrams_have_no_gradient_but_a_change():
    model = build("energy_bilstm", ngrams=3)
    plain = build("energy_bilstm")
    plain.load_state_dict(model.state_dict(), strict=False)
    added = first_order(model, WINDOW) - first_order(plain, WINDOW)
    torch.testing.assert_close(
        added, model.ngrams.changes(WINDOW, SYMBOLS, torch.arange(len(WINDOW)))
    )
    assert added.abs().max() > 0.1


@pytest.mark.parametrize("arch", WITH_VECTORS)
def test_gradients_belong_to_their_windows(arch):
    """Padding at the end, other windows beside it and a hook left behind would all show."""
    model = build(arch)
    other = torch.tensor([5, 6, 40, 2, 1, 1])
    energies, gradients = token_edits.embedding_gradients(model, torch.stack([WINDOW, other]))
    alone_energy, alone = token_edits.embedding_gradients(model, WINDOW[None])
    torch.testing.assert_close(energies[:1], alone_energy)
    torch.testing.assert_close(gradients[:1], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(energies, model.energy(torch.stack([WINDOW, other])).detach())
    assert not gradients[1, 4:].any() and gradients[1, :3].abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def linear_editor(edits, top=10):
    model = build("energy_linear")
    allowed = editable(SymbolTokenizer(dictionary()))
    return Editor(model, energy_judge(model), None, allowed, edits, top)


def test_a_sum_is_predicted_exactly():
    model = build("energy_linear")
    changed = WINDOW.repeat(len(WINDOW), SYMBOLS, 1)
    for t in range(len(WINDOW)):
        changed[t, :, t] = torch.arange(SYMBOLS)
    true = model.energy(changed.flatten(0, 1)).view(len(WINDOW), SYMBOLS) - model.energy(
        WINDOW[None]
    )
    found = first_order(model, WINDOW)
    usual = [v for v in range(SYMBOLS) if v != 1]  # the sum leaves padding out
    torch.testing.assert_close(found[:, usual], true.detach()[:, usual])


@pytest.mark.parametrize("direction", [1, -1])
def test_edits_of_a_sum_are_the_best_there_are(direction):
    weights = build("energy_linear").weights.weight[:, 0].detach()
    window = torch.tensor([7, 30, 2, 51, 40, 9])
    found = linear_editor(edits=2).edit(window, slice(1, 6), direction)
    free = [1, 3, 4, 5]  # in the part, and no special symbol
    best = 4 + int((direction * weights[4:]).argmax())
    order = sorted(free, key=lambda t: direction * float(weights[window[t]]))
    assert [edit.position for edit in found.edits] == [t + 1 for t in order[:2]]
    energy = float(weights[window].sum())
    assert found.energy == pytest.approx(energy, abs=1e-5)
    for edit in found.edits:
        assert edit.after == best and edit.before == int(window[edit.position - 1])
        energy += edit.predicted_change
        assert edit.energy == pytest.approx(energy, abs=1e-5)
        assert direction * edit.predicted_change > 0 and edit.nll is None
    assert (found.agreeing, found.checked) == (10, 10)


def test_signs_are_counted_from_true_changes():
    """A judge that says the reverse of the model agrees with nothing."""
    model = build("energy_linear")
    allowed = editable(SymbolTokenizer(dictionary()))
    reverse = Editor(model, lambda windows: -energy_judge(model)(windows), None, allowed, 1, 7)
    found = reverse.edit(WINDOW, slice(2, 6), 1)
    assert (found.agreeing, found.checked) == (0, 7)


def test_no_token_is_edited_twice_and_none_outside_the_part():
    found = linear_editor(edits=50).edit(WINDOW, slice(3, 6), -1)
    assert sorted(edit.position for edit in found.edits) == [4, 5, 6]
    assert linear_editor(edits=5).edit(torch.tensor([7, 2, 3]), slice(1, 3), 1).edits == []


@pytest.mark.parametrize(("part", "expected"), [((3, 4), 1), ((3, 5), 2), ((3, 3), 0)])
def test_fewer_tokens_than_edits(part, expected):
    """What is known by heart is looked up for free tokens alone: of none there is nothing."""
    model = build("energy_bilstm", ngrams=3)
    allowed = editable(SymbolTokenizer(dictionary()))
    found = Editor(model, energy_judge(model), None, allowed, 3, 20).edit(WINDOW, slice(*part), 1)
    assert len(found.edits) == expected


@pytest.mark.parametrize("arch", WITH_VECTORS)
def test_edits_of_every_family_keep_to_text(arch):
    model = build(arch)
    allowed = editable(SymbolTokenizer(dictionary()))
    nll = lambda windows: windows.double().mean(dim=1)  # noqa: E731
    found = Editor(model, energy_judge(model), nll, allowed, 3, 20).edit(WINDOW, slice(2, 6), -1)
    now = WINDOW.clone()
    for edit in found.edits:
        assert 3 <= edit.position <= 6 and edit.after >= 4
        now[edit.position - 1] = edit.after
        assert edit.energy == pytest.approx(float(model.energy(now[None]).detach()), abs=1e-4)
        assert edit.nll == pytest.approx(float(now.double().mean()))
        alone = WINDOW.clone()
        alone[edit.position - 1] = edit.after
        energy = float(model.energy(alone[None]).detach())
        assert edit.alone_energy == pytest.approx(energy, abs=1e-4)
        assert edit.alone_nll == pytest.approx(float(alone.double().mean()))
    assert len(found.edits) == 3 and found.checked == 20 and 0 <= found.agreeing <= 20


def test_what_may_be_put_in():
    made = dictionary(6)
    made.add_symbol("madeupword0000")
    assert editable(SymbolTokenizer(made)).tolist() == [False] * 4 + [True, True, False]


def edited(*energies, nll=None):
    edits = [Edit(1, 4, 5, -0.1, energy, nll, energy + 10, nll) for energy in energies[1:]]
    return EditedText([4, 4], energies[0], nll, edits, agreeing=2, checked=4)


def test_a_report_by_hand():
    texts = [
        edited(1.0, 0.5, -0.5),  # turned by the second edit
        edited(2.0, -1.0, 0.5),  # by the first, and back
        edited(3.0, 2.5),  # never, and only one edit could be made
        edited(-1.0, -2.0, -3.0),  # wrong from the start
    ]
    found = token_edits.report(texts, -1, threshold=0.0)
    assert (found["num_texts"], found["judged_rightly"]) == (4, 3)
    assert found["flipped"] == pytest.approx(2 / 3) and found["mean_edits_to_flip"] == 1.5
    assert (found["sign_agreement"], found["edits_checked"]) == (0.5, 16)
    rows = found["by_edits"]
    assert [row["num_texts"] for row in rows] == [4, 4, 3]
    assert [row["flipped"] for row in rows] == pytest.approx([0, 1 / 3, 1 / 2])
    assert rows[1]["energy"]["mean"] == pytest.approx(0.0) and "lm_ppl" not in rows[0]
    assert token_edits.report(texts, -1, threshold=1.5)["judged_rightly"] == 2
    assert token_edits.report(texts, 1, threshold=0.0)["judged_rightly"] == 1


def test_single_edits_by_hand():
    found = token_edits.single_edits([edited(1.0, 0.5, -0.5), edited(2.0), edited(3.0, 2.0)])
    assert found["num_edits"] == 3 and found["points"] == {
        "as it is": {"energy": [1.0, 3.0]},
        "one edit": {"energy": [10.5, 9.5, 12.0]},
        "all edits": {"energy": [-0.5, 2.0]},
    }
    assert found["energy_change"]["mean"] == pytest.approx((9.5 + 8.5 + 9.0) / 3)
    points = token_edits.single_edits([edited(1.0, 2.0, nll=0.0)])["points"]
    assert points["one edit"] == {"energy": [12.0], "lm_ppl": [1.0]}
    none = token_edits.single_edits([edited(2.0)])
    assert (none["num_edits"], none["energy_change"]) == (0, None)


def test_perplexity_in_a_report():
    (before, after) = token_edits.report([edited(1.0, 2.0, nll=0.5)], -1, 0.0)["by_edits"]
    assert before["lm_ppl"] == after["lm_ppl"] == pytest.approx(2.718281828**0.5)
