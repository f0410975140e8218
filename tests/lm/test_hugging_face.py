"""Hugging Face models as fairseq's: their own log P, what is never drawn, and which are refused."""

import itertools
import json
from pathlib import Path

import pytest
import torch

from fairseq_ebm.data.prepare import Vocabulary, prepare
from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.errors import UserError
from fairseq_ebm.joint.model import Joint, Streams
from fairseq_ebm.lm.checkpoint import load_base_lm
from fairseq_ebm.lm.hugging_face import folder_of
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.lm.scoring import next_log_probs, text_statistics, token_log_probs
from fairseq_ebm.numerics.partition import log_partition_bounds

pytest.importorskip("transformers")
import transformers

from tests.lm.tiny_hugging_face import FAMILIES, byte_fallback, byte_level, family, save, words
from tests.toy_world import chi_square_p

CPU = torch.device("cpu")
TEXTS = ["a b c d", "b b a d c", "d a a"]


def load(folder, data, precision="fp32"):
    return load_base_lm(Path(f"hf:{folder}"), data, precision, CPU)


def prepared(folder, data, texts=TEXTS):
    prepare({"train": texts, "test": texts}, Vocabulary("hugging_face", source=folder), {}, data)
    return data


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """A model of five symbols, one of which starts and ends texts; its rows are seven."""
    base = tmp_path_factory.mktemp("five")
    tokenizer = words(["a", "b", "c", "d"], eos_token="<end>")
    folder = save(base / "hf", tokenizer, family("gpt2", tokenizer, spare=2))
    return folder, prepared(folder, base / "data")


@pytest.fixture(scope="module")
def separate(tmp_path_factory):
    """What starts a text, what ends it and what is unknown are three symbols."""
    base = tmp_path_factory.mktemp("separate")
    tokenizer = byte_fallback()
    folder = save(base / "hf", tokenizer, family("llama", tokenizer))
    return folder, prepared(folder, base / "data", ["The cat", "sat on the mat"])


def all_windows(lm, length):
    """Every text of ``length`` symbols, the end of one among them."""
    symbols = [i for i in range(2, len(lm.dictionary)) if i not in (3, 4 + 4)]
    assert len(symbols) == 5
    return torch.tensor(list(itertools.product(symbols, repeat=length)))


def test_log_p_is_the_models_own(five, separate):
    for folder, data in (five, separate):
        lm = load(folder, data)
        tokenizer, symbols = load_tokenizer(data), load_tokenizer(data).symbols
        model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        special = (symbols.start, symbols.unknown, symbols.end)
        a, b, c, *_ = (i for i in range(9) if i not in special)
        theirs = torch.tensor([[a, b, c, symbols.end, b, a], [c, c, a, b, a, symbols.end]])
        ours = torch.from_numpy(symbols.known_as())[theirs]
        read = theirs.masked_fill(theirs == symbols.end, symbols.start)  # between two texts
        inputs = torch.cat([torch.full((2, 1), symbols.start), read[:, :-1]], dim=1)
        with torch.no_grad():
            log_probs = model(inputs).logits.log_softmax(dim=-1)
        expected = log_probs.gather(2, theirs.unsqueeze(-1)).squeeze(-1)
        found = token_log_probs(lm.model, ours, 0)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        # Drawn from: given that it is none of what no text has.
        never = [*symbols.never, *range(symbols.count, log_probs.size(-1))]
        allowed = 1 - log_probs[..., never].exp().sum(dim=-1)
        given = token_log_probs(lm.model, ours, 0, without_padding=True)
        torch.testing.assert_close(given, expected - allowed.log(), rtol=0, atol=1e-5)
        log_p = text_statistics(lm.model, ours, 0).log_p.float()
        torch.testing.assert_close(log_p, given, rtol=0, atol=1e-5)
        assert tokenizer.decode(ours[0, :3]) == tokenizer.backend.decode(theirs[0, :3].tolist())


def test_log_q_where_most_of_the_mass_is_on_what_no_text_has(separate):
    """As in models that were trained on chats, and behind the end of a text."""
    lm = load(*separate)
    decoder, prefix = lm.model.decoder, torch.tensor([[5, 6]])
    before = next_log_probs(lm.model, prefix)[0]
    with torch.no_grad():
        head = decoder.model.get_output_embeddings()
        features = decoder.extract_features(torch.tensor([[2, 5, 6]]))[0][0, -1]
        head.weight[decoder.symbols.start] += 30 * features / features.square().sum()
    windows = torch.tensor([[5, 6, symbol] for symbol in (60, 61, 62, 270)])
    found = token_log_probs(lm.model, windows, 2, without_padding=True)[:, 0]
    torch.testing.assert_close(found, before[[60, 61, 62, 270]], rtol=0, atol=1e-4)
    assert (token_log_probs(lm.model, windows, 2)[:, 0] < found - 20).all()
    samples = Sampler(lm.model).sample(prefix, 50, 1, [WindowStream(1, "test", 0)])
    expected = before[samples.tokens[0, :, 0]]
    torch.testing.assert_close(samples.log_q[0].float(), expected, rtol=0, atol=1e-4)


def test_what_no_text_has_is_never_drawn(separate):
    lm = load(*separate)
    symbols = load_tokenizer(separate[1]).symbols
    never = [0, 1, 4 + symbols.start, 4 + symbols.end, 4 + symbols.unknown]
    next_ones = next_log_probs(lm.model, torch.tensor([[5, 6]]))[0]
    assert set(torch.isinf(next_ones).nonzero().flatten().tolist()) == set(never)
    assert abs(float(next_ones.exp().sum()) - 1) < 1e-5
    prefixes = torch.tensor([[5, 6]])
    drawn = Sampler(lm.model).sample(prefixes, 2000, 4, [WindowStream(1, "test", 0)]).tokens
    assert not set(never) & set(drawn.flatten().tolist())
    assert (drawn == 2).any()  # a text may end


def test_samples_are_the_models_by_enumeration(five):
    lm = load(*five)
    windows, prefix = all_windows(lm, 3), torch.tensor([[4, 2]])
    whole = torch.cat([prefix.expand(len(windows), -1), windows], dim=1)
    log_p = token_log_probs(lm.model, whole, 2, without_padding=True).double().sum(dim=1)
    assert abs(float(log_p.exp().sum()) - 1) < 1e-5
    samples = Sampler(lm.model).sample(prefix, 20_000, 3, [WindowStream(1, "test", 0)])
    drawn = {tuple(row): i for i, row in enumerate(windows.tolist())}
    places = torch.tensor([drawn[tuple(row)] for row in samples.tokens[0].tolist()])
    counts = torch.bincount(places, minlength=len(windows))
    assert chi_square_p(counts, log_p.exp()) > 1e-3
    torch.testing.assert_close(samples.log_q[0], log_p[places], rtol=0, atol=1e-5)


def test_bounds_close_in_on_the_enumerated_constant(five):
    lm = load(*five)
    table = torch.randn(9, generator=torch.Generator().manual_seed(1)).double()

    def energy(windows, shared):
        return table[windows[..., 1:]].sum(dim=-1) + table[windows[..., 1]] ** 2

    windows, prefix = all_windows(lm, 3), torch.tensor([4])
    whole = torch.cat([prefix.expand(len(windows), 1), windows], dim=1)
    log_p = token_log_probs(lm.model, whole, 1, without_padding=True).double().sum(dim=1)
    truth = torch.logsumexp(log_p - energy(whole, 0), dim=0)
    joint = Joint(lm.model, Sampler(lm.model), energy)
    pool = joint.pool(prefix[None], 20_000, 3, Streams(1, "test", [0]))
    bounds = log_partition_bounds(pool)
    assert bounds.lower <= bounds.upper
    assert abs(float(bounds.jackknife) - float(truth)) < 4 * float(bounds.error)


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_is_near(name, tmp_path):
    tokenizer = byte_level()
    folder = save(tmp_path / "hf", tokenizer, family(name, tokenizer))
    data = prepared(folder, tmp_path / "data")
    windows = torch.randint(5, 200, (4, 12), generator=torch.Generator().manual_seed(1))
    exact, near = (
        token_log_probs(load(folder, data, precision).model, windows, 0)
        for precision in ("fp32", "bf16")
    )
    assert (exact - near).abs().mean() < 0.1
    assert (exact != near).any()


def test_which_paths_are_folders_of_models():
    assert folder_of("hf:a/b") == Path("a/b")
    assert folder_of(Path("hf:/a")) == Path("/a")
    assert folder_of("lm.pt") is None


def refused(folder, data, *words_of_it):
    with pytest.raises(UserError) as problem:
        load(folder, data)
    message = str(problem.value)
    assert "\n" not in message
    assert all(word in message for word in ("--path", *words_of_it)), message


def test_refused_folders(five, separate, tmp_path):
    folder, data = five
    refused(tmp_path / "missing", data, "no config.json")
    refused(folder, separate[1], "another tokenizer", "count 5 there and")
    tokenizer = words(["a", "c", "b", "d"], eos_token="<end>")
    other = save(tmp_path / "other", tokenizer, family("gpt2", tokenizer))
    refused(other, data, "another tokenizer", "symbol 1 is 'c' there and 'b' here")
    plain = tmp_path / "plain"
    prepare({"train": TEXTS, "test": TEXTS}, Vocabulary("symbols"), {}, plain)
    refused(folder, plain, "prepare --tokenizer hf:")
    classifier = transformers.GPT2ForSequenceClassification(
        transformers.GPT2Config(vocab_size=5, n_embd=8, n_layer=1, n_head=1, pad_token_id=4)
    )
    refused(
        save(tmp_path / "classifier", tokenizer, classifier), data, "SequenceClassification, not"
    )
    bare = save(tmp_path / "bare", tokenizer, family("gpt2", tokenizer))
    for path in bare.glob("tokenizer*"):
        path.unlink()
    refused(bare, data, "tokenizer")
    large = words([*"abcdefg"], eos_token="<end>")
    refused(save(tmp_path / "large", large, family("gpt2", tokenizer)), data, "do not belong")


def test_half_copied_and_pickled_folders(five, tmp_path):
    folder, data = five
    tokenizer = words(["a", "b", "c", "d"], eos_token="<end>")
    parts = tmp_path / "parts"
    tokenizer.save_pretrained(parts)
    family("gpt2", tokenizer).save_pretrained(parts, max_shard_size="3KB")
    found = sorted(path.name for path in parts.glob("model-*.safetensors"))
    assert len(found) > 1
    load(parts, data)
    (parts / found[0]).unlink()
    refused(parts, data, "half copied", found[0])
    index = parts / "model.safetensors.index.json"
    index.write_text(json.dumps([]))
    refused(parts, data, "damaged")

    pickled = tmp_path / "pickled"
    for path in folder.iterdir():
        if path.suffix != ".safetensors":
            pickled.mkdir(exist_ok=True)
            (pickled / path.name).write_bytes(path.read_bytes())
    torch.save({"weights": Path("code that runs")}, pickled / "pytorch_model.bin")
    refused(pickled, data, "not a causal language model")
