import math

import pytest
import torch

from fairseq_ebm import JointModel
from fairseq_ebm.errors import UserError
from fairseq_ebm.joint.checkpoints import load_joint_checkpoints
from fairseq_ebm.lm import sampler
from fairseq_ebm.lm.sampler import stepper_of


@pytest.fixture(scope="module")
def model(sums, sums_lm, sums_energy):
    return JointModel.from_pretrained(sums_lm, sums_energy, sums, device="cpu")


def test_energies_are_those_of_the_checkpoint(model, sums, sums_lm, sums_energy):
    texts = ["1 2 + 3 4 = 0 4 6", "1 2 + 3 4 = 0 4 7"]
    plain = (
        load_joint_checkpoints(f"{sums_energy}:{sums_lm}", sums, "fp32", torch.device("cpu"))
        .energies[0]
        .model
    )
    index = model.tokenizer.dictionary.index
    for text, energy in zip(texts, model.energy(texts)):
        window = torch.tensor([index(symbol) for symbol in text.split()]).view(1, 1, -1)
        with torch.no_grad():
            assert energy == pytest.approx(float(plain(window, 0)), abs=1e-5)


def test_the_window_is_what_the_energy_was_trained_on(model):
    assert model.window == 10


def test_samples_continue_the_prompt(model):
    found = model.sample("1 2 + 3 4 =", num_draws=3, joint_samples=40, seed=2)
    assert found == model.sample("1 2 + 3 4 =", num_draws=3, joint_samples=40, seed=2)
    assert found != model.sample("1 2 + 3 4 =", num_draws=3, joint_samples=40, seed=3)
    for draw in found:
        assert 0 < draw.share < 1 and draw.log_p_lm < 0 and 1 <= draw.ess <= 40
    (longer,) = model.sample("1 2", joint_samples=4, length=20, chunk_length=5)
    assert len(model.tokenizer.encode([longer.text])[0]) + longer.text.count("\n") == 20


def test_bounds(model):
    found = model.bounds("1 2 + 3 4 =", "0 4 6", num_samples=200)
    assert found.num_tokens == 3
    assert found.joint_ppl_lower <= found.joint_ppl <= found.joint_ppl_upper
    log_p = found.log_p_lm - found.energy - found.log_z
    assert found.joint_ppl == pytest.approx(math.exp(-log_p / 3))
    assert found.base_ppl == pytest.approx(math.exp(-found.log_p_lm / 3))
    low, high = found.joint_ppl_sampling_ci95
    assert low < found.joint_ppl < high
    assert math.log(high / low) == pytest.approx(2 * 1.96 * found.log_z_error / 3, rel=1e-3)


def test_what_the_energy_was_not_trained_on_is_warned_of(model):
    with pytest.warns(UserWarning, match="a prefix of 2 tokens is shorter than any .*from 6"):
        model.bounds("1 2", "+ 3", num_samples=20)


def test_weights_are_copied_once(model, monkeypatch):
    """And not at all for energies alone."""
    calls = []
    monkeypatch.setattr(sampler, "stepper_of", lambda m: calls.append(m) or stepper_of(m))
    fresh = JointModel(model.models, model.tokenizer, model.window)
    fresh.energy(["1 2 + 3 4 = 0 4 6"])
    assert len(calls) == 0
    fresh.sample("1 2 + 3 4 =", joint_samples=4)
    fresh.sample("1 2 + 3 4 =", joint_samples=4, top_k=3)
    fresh.bounds("1 2 + 3 4 =", "0 4", num_samples=4)
    assert len(calls) == 1


def test_text_in_another_form_is_refused(model):
    for words, call in (
        ("texts: ", lambda: model.energy(["1 2 + 3 4 =", "words or 1"])),
        ("prompt: ", lambda: model.sample("words")),
        ("prefix: ", lambda: model.bounds("words", "1 2")),
        ("continuation: ", lambda: model.bounds("1 2 + 3 4", "words")),
    ):
        with pytest.raises(UserError, match=f"^{words}the vocabulary of the data does not know"):
            call()


def test_what_does_not_fit(model, sums, sums_lm, sums_energy):
    with pytest.raises(UserError, match="text of 600 tokens: the models read"):
        model.energy(["1 " * 600])
    with pytest.raises(UserError, match="there is nothing in it"):
        model.bounds("1 2 + 3 4 =", "")
    for texts, words in (("1 2", "a list of texts"), ([""], "nothing in one"), ([3], "not 3")):
        with pytest.raises(UserError, match=f"^texts: .*{words}"):
            model.energy(texts)
    with pytest.raises(UserError, match=r"^prompt: a text is wanted, not None"):
        model.sample(None)
    with pytest.raises(UserError, match=r"^num_draws: 5 .* raise joint_samples"):
        model.sample("1 2 + 3 4 =", num_draws=5, joint_samples=3)
    with pytest.raises(UserError, match=r"^top_k: 999 is above the vocabulary"):
        model.sample("1 2 + 3 4 =", top_k=999)
    with pytest.raises(UserError, match=r"^sampling_memory: -1"):
        JointModel.from_pretrained(sums_lm, sums_energy, sums, sampling_memory=-1).energy(["1"])
    with pytest.raises(UserError, match=r"^window: windows of 900"):
        JointModel.from_pretrained(sums_lm, sums_energy, sums, window=900)
