"""Hugging Face models as authors: what they draw, how text crosses, and which are refused."""

import hashlib
import sys

import numpy as np
import pytest
import torch

from fairseq_ebm.data.prepare import Vocabulary, prepare
from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.data.windows import WindowOptions, Windows
from fairseq_ebm.errors import UserError
from fairseq_ebm.lm.hugging_face import digest_of_files
from fairseq_ebm.negatives import filling, store
from fairseq_ebm.negatives.filling import fill
from fairseq_ebm.negatives.hugging_face import HuggingFaceAuthor, load_hugging_face
from fairseq_ebm.numerics.drawing import UNTRUNCATED, Truncation
from fairseq_ebm.numerics.truncation import truncated_log_probs
from tests.data.test_tokenizers import ENGLISH

pytest.importorskip("transformers")
from tests.lm.tiny_hugging_face import (
    characters,
    letters,
    random_model,
    reciting_model,
    save,
    words,
)

SYMBOLS = [f"w{i}" for i in range(60)]
CPU = torch.device("cpu")


def prepared(dest, texts, vocabulary):
    splits = {"train": texts, "test": texts}
    prepare(splits, vocabulary, {}, dest)
    return dest


@pytest.fixture(scope="module")
def symbols_data(tmp_path_factory):
    texts = [" ".join(np.roll(SYMBOLS, i)[:29]) for i in range(60)]
    return prepared(tmp_path_factory.mktemp("symbols") / "data", texts, Vocabulary("symbols"))


@pytest.fixture(scope="module")
def random_words(tmp_path_factory):
    """It advises to take the likeliest symbol always, and never the same twice."""
    advice = {"top_k": 1, "temperature": 0.1, "repetition_penalty": 9.0, "max_new_tokens": 1}
    folder = tmp_path_factory.mktemp("hf") / "random"
    return random_model(folder, words(SYMBOLS, eos_token="<end>"), **advice)


def author(model, data, truncation=UNTRUNCATED):
    return HuggingFaceAuthor(load_hugging_face(model, "fp32", CPU), data, truncation)


def written(model, data, prefix, num, length, seed=1, truncation=UNTRUNCATED):
    """(num, length) tokens behind ``prefix``, a list of tokens."""
    window = np.array([[*prefix, *([0] * length)]])
    streams = [WindowStream(seed, "test", 0)]
    found = author(model, data, truncation).continuations(window, len(prefix), num, streams)
    assert np.isnan(found.log_p).all() and np.isnan(found.real_log_p).all()
    return found.tokens[0]


TRUNCATIONS = [
    UNTRUNCATED,
    Truncation(top_k=3),
    Truncation(top_p=0.5),
    Truncation(temperature=0.5),
    Truncation(top_k=20, top_p=0.8, temperature=2.0),
]


@pytest.mark.parametrize("truncation", TRUNCATIONS, ids=str)
def test_draws_are_from_the_models_own_distribution(symbols_data, random_words, truncation):
    """Of two symbols, both marginals, by enumeration; the end of text is one of the 61."""
    lm = load_hugging_face(random_words, "fp32", CPU)
    dictionary = author(random_words, symbols_data).dictionary
    index = [dictionary.index(s) for s in SYMBOLS] + [dictionary.eos()]
    prefix = [7, 3, 60]  # in the model's symbols; the last is </s>, read as a line feed
    # Text begins with the end of another; for a line feed this model has no symbol.
    begun = torch.tensor([[60, 7, 3, symbol] for symbol in range(61)])
    with torch.no_grad():
        logits = lm.model(begun).logits[:, -2:].double()
    limits = (truncation.top_k, truncation.top_p, truncation.temperature)
    first = truncated_log_probs(logits[0, 0], *limits).exp()
    second = (first[:, None] * truncated_log_probs(logits[:, 1], *limits).exp()).sum(dim=0)
    tokens = written(
        random_words, symbols_data, [index[s] for s in prefix], 8000, 2, truncation=truncation
    )
    for place, expected in enumerate((first, second)):
        counts = np.bincount(tokens[:, place], minlength=len(dictionary))[index]
        assert counts.sum() == 8000
        assert abs(counts / 8000 - expected.numpy()).sum() / 2 < 0.06
        assert not counts[expected.numpy() == 0].any()
    if truncation.is_none:
        assert len(set(tokens[:, 0].tolist())) > 50  # transformers would keep 50


def test_a_windows_negatives_follow_from_the_seed_and_the_window(symbols_data, random_words):
    writer = author(random_words, symbols_data)
    windows = np.random.default_rng(1).integers(4, 64, (3, 9))

    def negatives(*chosen, seed=1):
        streams = [WindowStream(seed, "test", i) for i in chosen]
        return writer.continuations(windows[list(chosen)], 4, 3, streams).tokens

    state = torch.get_rng_state()
    together = negatives(0, 1, 2)
    assert (torch.get_rng_state() == state).all()
    torch.manual_seed(5)
    assert (negatives(2, 1) == together[[2, 1]]).all()
    assert (negatives(0, 1, 2, seed=2) != together).any(axis=(1, 2)).all()
    assert (together[:, 0] != together[:, 1]).any(axis=1).all()


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_stopped_or_in_shards_a_store_ends_with_the_same_bytes(
    symbols_data, random_words, tmp_path, monkeypatch
):
    options = WindowOptions(window=8, stride=8, prefix_lengths=(5, 6), max_windows=96)
    windows = Windows(symbols_data, "test", options)
    writer = author(random_words, symbols_data)
    manifest = store.Manifest(store.FORMAT_VERSION, {}, {}, {}, {}, {})

    def negatives(name, *shards, stop_after=None):
        store.begin(tmp_path / name, manifest, symbols_data)
        for shard in shards:
            monkeypatch.setattr(filling, "progress", lambda b, *_, n=stop_after: list(b)[:n])
            fill(tmp_path / name, writer, windows, 2, shard)
        return tmp_path / name

    whole = contents(negatives("whole", (0, 1)))
    stopped = negatives("stopped", (0, 1), stop_after=1)
    assert (stopped / "test.part").exists()
    assert contents(negatives("stopped", (0, 1))) == whole
    store.merge(negatives("shards", (1, 2), (0, 2)))
    assert contents(tmp_path / "shards") == whole


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Prepared data: documents that are lines, and documents that hold lines."""
    folder, vocabulary = tmp_path_factory.mktemp("texts"), Vocabulary("sentencepiece", 400)
    lines = [text.replace("\n", " ") for text in ENGLISH]
    return {
        "lines": prepared(folder / "lines", lines, vocabulary),
        "documents": prepared(folder / "documents", ENGLISH, vocabulary),
    }


def tokens_of(data, text):
    """</s> for each "|"."""
    tokenizer = load_tokenizer(data)
    parts = tokenizer.encode(text.split("|"))
    return np.concatenate([np.append(part, tokenizer.dictionary.eos()) for part in parts])[:-1]


def reciter(folder, text, **special):
    """Writes the characters of ``text``, all different, again and again; "|" ends a text."""
    tokenizer = characters(eos_token="<end>", **special)
    return reciting_model(folder, tokenizer, tokenizer.encode(text.replace("|", "<end>")))


@pytest.mark.parametrize(
    ("kind", "recited", "expected"),
    [
        ("lines", "The quick\n", "The quick|"),
        ("documents", "The quick\n", "The quick\n"),
        ("documents", "The quick|", "The quick|"),
        ("documents", "The |quick\n", "The |quick\n"),
    ],
)
def test_text_crosses_both_ways_and_ends_of_documents_with_it(
    texts, tmp_path, kind, recited, expected
):
    model = reciter(tmp_path / "model", recited)
    data = texts[kind]
    text = expected * 9
    for cut in range(1, len(expected) + 1):  # before each character, </s> among them
        prefix = tokens_of(data, text[:cut])
        tokens = written(model, data, prefix, 2, 20)
        assert (tokens == tokens_of(data, text[cut:])[:20]).all(), cut


@pytest.mark.parametrize(
    ("special", "read"),
    [
        ({}, "<end>A dog\n<end>Nobody c"),
        ({"bos_token": "<end>"}, "<end>A dog\n<end>Nobody c"),
        ({"bos_token": "<begin>"}, "<begin>A dog\n<end><begin>Nobody c"),
    ],
)
def test_what_the_model_reads_to_the_symbol(texts, tmp_path, special, read):
    """A random model's likeliest symbols depend on all that it has read."""
    data, tokenizer = texts["documents"], characters(eos_token="<end>", **special)
    folder = random_model(tmp_path / "model", tokenizer, positions=128)
    model = load_hugging_face(folder, "fp32", CPU).model
    symbols = tokenizer.encode(read)
    begun = len(symbols)
    with torch.no_grad():
        for _ in range(40):
            symbols.append(int(model(torch.tensor([symbols])).logits[0, -1].argmax()))
    expected = tokenizer.decode(symbols[begun:]).replace("<end>", "|").replace("<begin>", "")
    prefix = tokens_of(data, "A dog\n|Nobody c")
    tokens = written(folder, data, prefix, 1, 12, truncation=Truncation(top_k=1))
    assert (tokens == tokens_of(data, expected)[:12]).all()


def test_where_documents_are_lines_the_end_of_a_text_ends_one(texts, tmp_path):
    tokens = written(
        reciter(tmp_path / "model", "The quick|"),
        texts["lines"],
        tokens_of(texts["lines"], "a line|The q"),
        num=2,
        length=20,
    )
    assert (tokens == tokens_of(texts["lines"], "uick|" + "The quick|" * 9)[:20]).all()


def test_a_space_between_prefix_and_continuation_is_kept(texts, tmp_path):
    tokenizer = letters("\u2581quick", eos_token="<end>")
    recited = tokenizer.convert_tokens_to_ids(list("\u2581quick"))
    assert tokenizer.decode([*recited, *recited]) == "quick quick"
    model = reciting_model(tmp_path / "model", tokenizer, recited)
    tokens = written(model, texts["lines"], tokens_of(texts["lines"], "quick"), 1, 9)
    assert (tokens == tokens_of(texts["lines"], " quick" * 9)[:9]).all()


def test_a_prefix_that_breaks_off_within_a_character(texts, tmp_path):
    model = reciter(tmp_path / "model", "The quick\n")
    prefix = tokens_of(texts["documents"], "ü The q☺")[1:-1]
    tokens = written(model, texts["documents"], prefix, 1, 12)
    assert (tokens == tokens_of(texts["documents"], "uick\n" + "The quick\n" * 3)[:12]).all()


def test_text_of_many_symbols_is_written_on_until_it_fills_the_window(texts, tmp_path):
    """Nine of ten symbols are silent, and 32 positions hold a part of the prefix alone."""
    silent = [f"<{i}>" for i in range(9)]
    tokenizer = characters(eos_token="<end>", additional_special_tokens=silent)
    recited = tokenizer.encode("a" + "".join(silent))
    model = reciting_model(tmp_path / "model", tokenizer, recited, positions=32)
    data = texts["lines"]
    prefix = tokens_of(data, "The brown fox leaps over the dogs and a")
    assert (written(model, data, prefix, 2, 7) == tokens_of(data, "a" * 40)[:7]).all()


def test_a_model_without_text_is_given_up(texts, tmp_path):
    tokenizer = characters(eos_token="<end>", additional_special_tokens=["<0>"])
    model = reciting_model(tmp_path / "model", tokenizer, tokenizer.encode("<0>"))
    with pytest.raises(UserError, match=r"--hf: .* does not fill a window: \d+ of its symbols"):
        written(model, texts["lines"], tokens_of(texts["lines"], "a<0>"), 2, 7)


def test_without_a_prefix_text_begins_with_the_models_own_symbol(texts, tmp_path):
    data = texts["lines"]
    begins = reciter(tmp_path / "begins", "<begin>The quick\n", bos_token="<begin>")
    assert (written(begins, data, [], 1, 9) == tokens_of(data, "The quick|" * 3)[:9]).all()
    tokenizer = characters()
    bare = reciting_model(tmp_path / "bare", tokenizer, tokenizer.encode("The quick\n"))
    assert written(bare, data, tokens_of(data, "|"), 1, 3).shape == (1, 3)
    with pytest.raises(UserError, match="--prefix-length: the model has no symbol"):
        written(bare, data, [], 1, 9)


def test_what_is_no_causal_language_model_is_refused(symbols_data, random_words, tmp_path):
    from transformers import BertConfig, BertForMaskedLM  # noqa: PLC0415 after importorskip

    with pytest.raises(UserError, match=r"--hf: .*nowhere: not a directory"):
        load_hugging_face(tmp_path / "nowhere", "fp32", CPU)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    bert = BertForMaskedLM(BertConfig(vocab_size=61, intermediate_size=8, **shape))
    folder = save(tmp_path / "bert", words(SYMBOLS, eos_token="<end>"), bert)
    with pytest.raises(UserError, match="holds a BertForMaskedLM, not a causal"):
        load_hugging_face(folder, "fp32", CPU)
    larger = tmp_path / "larger"
    random_model(larger, words(SYMBOLS, eos_token="<end>"))
    words([*SYMBOLS, "more"], eos_token="<end>").save_pretrained(larger)
    with pytest.raises(UserError, match="tokenizer has 62 symbols and the model 61"):
        load_hugging_face(larger, "fp32", CPU)
    (larger / "model.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match="not a causal language model with its tokenizer"):
        load_hugging_face(larger, "fp32", CPU)
    with pytest.raises(UserError, match="top_k: 62 is above the vocabulary of 61"):
        author(random_words, symbols_data, Truncation(top_k=62))


def test_without_transformers_the_message_says_how_to_get_it(random_words, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"pip install 'fairseq-ebm\[hf\]'"):
        load_hugging_face(random_words, "fp32", CPU)


def test_the_digest_is_of_names_and_contents(tmp_path):
    (tmp_path / "b" / ".cache").mkdir(parents=True)
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b" / "c").write_text("y")
    of = {text: hashlib.sha256(text.encode()).hexdigest() for text in "xy"}
    expected = hashlib.sha256(f"{of['x']}  a.txt\n{of['y']}  b/c\n".encode()).hexdigest()
    assert digest_of_files(tmp_path) == expected
    (tmp_path / "b" / ".cache" / "d").touch()
    (tmp_path / ".git").touch()
    assert digest_of_files(tmp_path) == expected
    (tmp_path / "a.txt").rename(tmp_path / "a")
    assert digest_of_files(tmp_path) != expected
