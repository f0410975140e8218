"""Encoders and decoders of transformers as energies: what they read, what checkpoints keep."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from fairseq import models
from omegaconf import OmegaConf

from fairseq_ebm.data.prepare import Vocabulary, prepare
from fairseq_ebm.data.tokenizers import load_dictionary, load_tokenizer
from fairseq_ebm.errors import UserError
from fairseq_ebm.models.hugging_face_body import RECIPE, require_same_model
from fairseq_ebm.models.hugging_face_reader import NOTHING
from fairseq_ebm.weaknesses.token_edits import first_order

pytest.importorskip("transformers")
import transformers

from tests.elsewhere import ELSEWHERE, elsewhere
from tests.lm.tiny_hugging_face import (
    ENCODERS,
    TEXTS,
    byte_level,
    encoder,
    family,
    save,
    word_pieces,
)

DECODERS = ("gpt2", "llama")


class State:
    def __init__(self, **values):
        self.state_dict = values

    def merge_state_dict(self, values):
        self.state_dict.update(values)


def task_of(data, **state):
    dictionary = load_dictionary(data / "dict.txt")
    return SimpleNamespace(dictionary=dictionary, data=data, state=State(**state))


def build(task, folder, **options):
    values = {"_name": "energy_hf", "hf_model": str(folder), "hf_dropout": 0.0, **options}
    model = models.build_model(OmegaConf.create(values), task)
    with torch.no_grad():
        model.head.projection.weight.normal_()
    return model.eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("hf")
    pieces, level = word_pieces(), byte_level()
    found = {name: save(base / name, pieces, encoder(name, pieces)) for name in ENCODERS}
    return {**found, **{name: save(base / name, level, family(name, level)) for name in DECODERS}}


@pytest.fixture(scope="module")
def sentencepieces(tmp_path_factory):
    """Data with another tokenizer than any of the models."""
    dest = tmp_path_factory.mktemp("data") / "sentencepieces"
    texts = [f"{text} {i}" for text in TEXTS for i in range(20)]
    prepare({"train": texts, "test": texts}, Vocabulary("sentencepiece", 380), {}, dest)
    return dest


@pytest.fixture(scope="module")
def same(folders, tmp_path_factory):
    """Data with the decoders' own tokenizer."""
    dest = tmp_path_factory.mktemp("data") / "same"
    prepare({"test": TEXTS}, Vocabulary("hugging_face", source=folders["gpt2"]), {}, dest)
    return dest


def windows_of(data, texts, padded_to=None):
    tokens = [torch.from_numpy(ids) for ids in load_tokenizer(data).encode(texts)]
    length = padded_to or max(map(len, tokens))
    rows = [torch.nn.functional.pad(ids, (0, length - len(ids)), value=1) for ids in tokens]
    return torch.stack(rows)


def theirs(folder, texts):
    """Mean features of what transformers' own tokenizer and model make of texts."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    found = []
    for text in texts:
        ids = tokenizer.encode(text)
        if ids[0] != (tokenizer.cls_token_id or tokenizer.bos_token_id):
            ids = [tokenizer.bos_token_id, *ids]
        with torch.no_grad():
            found.append(model(torch.tensor([ids])).last_hidden_state[0].mean(dim=0))
    return torch.stack(found)


READ = ["the cat sat", "a dog x"]


@pytest.mark.parametrize("name", [*ENCODERS, *DECODERS])
def test_it_reads_the_text_that_tokens_spell(name, folders, sentencepieces):
    model = build(task_of(sentencepieces), folders[name])
    with torch.no_grad():
        found = model.energy(windows_of(sentencepieces, READ, padded_to=40))
        expected = model.head.project(theirs(folders[name], READ))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", DECODERS)
def test_with_its_own_symbols_it_reads_these(name, folders, same):
    model = build(task_of(same), folders[name])
    with torch.no_grad():
        padded = model.energy(windows_of(same, READ, padded_to=30))
        alone = torch.cat([model.energy(windows_of(same, [text])) for text in READ])
        expected = model.head.project(theirs(folders[name], READ))
    torch.testing.assert_close(padded, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", DECODERS)
def test_on_another_device(name, folders, same):
    model = build(task_of(same), folders[name])
    windows = windows_of(same, READ, padded_to=30)
    with elsewhere() as mode:
        model.to(ELSEWHERE, torch.float16)
        windows = windows.to(ELSEWHERE)
        for mode.truth in (True, False):  # with padding and without
            assert model(windows.unsqueeze(0), 0).device == ELSEWHERE


def test_symbols_and_their_surroundings(folders, tmp_path):
    """An encoder's own tokenizer: [CLS] before, [SEP] right behind, whatever padding follows."""
    prepare(
        {"test": ["the cat"]},
        Vocabulary("hugging_face", source=folders["bert"]),
        {},
        tmp_path / "d",
    )
    model = build(task_of(tmp_path / "d"), folders["bert"])
    windows = windows_of(tmp_path / "d", ["the cat sat", "a"], padded_to=5)
    tokenizer = word_pieces()
    expected = [tokenizer.encode(text) for text in ("the cat sat", "a")]
    read = model.reader(windows)
    assert [[i for i in row if i != NOTHING] for row in read.tolist()] == expected
    assert read[1].tolist().index(3) == 2
    assert model.max_positions() == 60
    with torch.no_grad():
        alone = torch.stack([model.energy(w[w != 1][None])[0] for w in windows])
        torch.testing.assert_close(model.energy(windows), alone, rtol=1e-4, atol=1e-4)


def test_half_a_character_and_ends_of_texts(folders, sentencepieces):
    model = build(task_of(sentencepieces), folders["gpt2"])
    tokenizer = load_tokenizer(sentencepieces)
    (smile,) = tokenizer.encode(["x \U0001f680"])
    half = torch.from_numpy(smile[:-1])
    assert model.reader.text(half.numpy()) == "x \ufffd" * 1 or "\ufffd" in model.reader.text(
        half.numpy()
    )
    ended = torch.tensor([*tokenizer.encode(["a"])[0], 2, *tokenizer.encode(["b"])[0]])
    assert model.reader.text(ended.numpy()) == "a\nb"
    with torch.no_grad():
        assert torch.isfinite(model.energy(half[None])).all()
        assert torch.isfinite(model.energy(torch.ones(1, 3, dtype=torch.long))).all()  # no text


def test_what_is_too_long_loses_its_beginning(folders, sentencepieces):
    model = build(task_of(sentencepieces), folders["bert"])
    text = "cat sat on " * 40
    read = model.reader(windows_of(sentencepieces, [f"a dog {text}", f"mat {text}"]))
    assert read.size(1) == 62 and (read[0] == read[1]).all()
    assert model.max_positions() > 10**6


def test_workers_read_ahead(folders, sentencepieces, same):
    model = build(task_of(sentencepieces), folders["bert"])
    windows = windows_of(sentencepieces, READ * 3).view(2, 3, -1)
    read = model.reads_ahead(windows.flatten(0, 1))
    with torch.no_grad():
        assert torch.equal(model(windows, 0), model(windows, 0, read=read))
    assert build(task_of(same), folders["gpt2"]).reads_ahead is None


def test_a_checkpoint_is_whole_in_itself(folders, sentencepieces, tmp_path):
    gone = tmp_path / "gone"
    save(gone, word_pieces(), encoder("bert", word_pieces()))
    task = task_of(sentencepieces)
    model = build(task, gone)
    for path in gone.iterdir():
        path.unlink()
    torch.save({"model": model.state_dict(), "state": task.state.state_dict}, tmp_path / "e.pt")
    kept = torch.load(tmp_path / "e.pt", weights_only=True)
    again = build(task_of(sentencepieces, **kept["state"]), gone)
    again.load_state_dict(kept["model"], strict=True)
    windows = windows_of(sentencepieces, READ)
    with torch.no_grad():
        assert torch.equal(model.energy(windows), again.energy(windows))


def test_gradients_at_the_embedding(folders, same, sentencepieces):
    model = build(task_of(same), folders["llama"])
    window = windows_of(same, ["the cat sat"])[0]
    change = first_order(model, window)
    assert change.shape == (len(window), len(load_tokenizer(same).dictionary))
    assert (change[torch.arange(len(window)), window].abs() < 1e-5).all()
    # A small step towards another symbol's vector changes E as predicted.
    vectors = model.token_embedding().weight
    step, at, to = 1e-3, 1, 40
    embedded = model.token_embedding()(window[None]).detach()
    moved = embedded.clone()
    moved[0, at] += step * (vectors[to] - vectors[window[at]]).detach()
    with torch.no_grad():
        energies = []
        for each in (embedded, moved):
            before = model._around(model.reader.template.before, 1)
            features = model.body(inputs_embeds=torch.cat([before, each], dim=1)).last_hidden_state
            energies.append(model.head.project(features.double().mean(dim=1)))
    found = float(energies[1] - energies[0]) / step
    assert found == pytest.approx(float(change[at, to]), rel=0.05, abs=1e-3)
    with pytest.raises(UserError, match="reads DATA as text"):
        build(task_of(sentencepieces), folders["bert"]).token_embedding()


def test_half_precision_leaves_rotary_positions_alone(folders, same):
    model = build(task_of(same), folders["llama"])
    windows = windows_of(same, READ)
    with torch.no_grad():
        exact, near = model.energy(windows), model.bfloat16().energy(windows)
    frequencies = dict(model.named_buffers())["body.rotary_emb.inv_freq"]
    assert frequencies.dtype == torch.float32
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(near, exact, rtol=0.05, atol=0.05)


def test_adapters_alone(folders, same, tmp_path):
    pytest.importorskip("peft")
    folder = tmp_path / "llama"
    shutil.copytree(folders["llama"], folder)
    task = task_of(same)
    model = build(task, folder, hf_lora=2)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert set(model.state_dict()) == trained
    assert {name.split(".")[0] for name in trained} == {"body", "head"}
    assert all("lora_" in name for name in trained if name.startswith("body"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    again = build(task_of(same, **task.state.state_dict), "elsewhere", hf_lora=2)
    again.load_state_dict(model.state_dict(), strict=True)
    windows = windows_of(same, READ)
    with torch.no_grad():
        assert torch.equal(model.energy(windows), again.energy(windows))
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    with pytest.raises(UserError, match=r"--path: adapters need .* are others now"):
        build(task_of(same, **task.state.state_dict), folder, hf_lora=2)


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_dropout_reaches_attention(name, folders, sentencepieces):
    windows = windows_of(sentencepieces, READ)
    for share, is_same in ((0.0, True), (0.5, False)):
        model = build(task_of(sentencepieces), folders[name], hf_dropout=share).train()
        with torch.no_grad():
            assert torch.equal(model.energy(windows), model.energy(windows)) == is_same


def test_other_vocabularies_and_models_are_refused(folders, same, sentencepieces, tmp_path):
    task = task_of(same)
    build(task, folders["llama"])
    with pytest.raises(UserError, match="another vocabulary or tokenizer"):
        build(task_of(sentencepieces, **task.state.state_dict), folders["llama"])
    other = task_of(same)
    build(other, folders["gpt2"])
    require_same_model(tmp_path, task.state.state_dict, task.state.state_dict)
    with pytest.raises(UserError, match="--hf-model: other files than those"):
        require_same_model(tmp_path, task.state.state_dict, other.state.state_dict)


def test_code_from_elsewhere_is_refused(folders, same, tmp_path):
    folder = tmp_path / "llama"
    shutil.copytree(folders["llama"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_attn_implementation": "a/kernel"}))
    with pytest.raises(UserError, match="its attention is code from elsewhere"):
        build(task_of(same), folder)
    task = task_of(same)
    build(task, folders["llama"])
    recipe = task.state.state_dict[RECIPE]
    recipe["config"] = json.dumps({**json.loads(recipe["config"]), "_attn_implementation": "a/b"})
    with pytest.raises(UserError, match="an energy_hf is refused"):
        build(task_of(same, **task.state.state_dict), folder)


def test_refused(folders, same, tmp_path):
    task = task_of(same)
    with pytest.raises(UserError, match="--hf-model: needed"):
        models.build_model(OmegaConf.create({"_name": "energy_hf"}), task)
    with pytest.raises(UserError, match="--energy-pooling first: a LlamaModel"):
        build(task, folders["llama"], energy_pooling="first")
    model = build(task_of(same), folders["bert"], energy_pooling="first")
    assert model.head.pooling == "first"
    with pytest.raises(UserError, match=r"no config\.json"):
        build(task, tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "none"}')
    with pytest.raises(UserError, match="not a model with its tokenizer") as problem:
        build(task, tmp_path)
    assert "\n" not in str(problem.value)
