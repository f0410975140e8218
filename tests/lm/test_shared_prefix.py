"""Samples that share their prefix are those of the model itself, for every family of models."""

import warnings

import pytest
import torch

from fairseq_ebm.data.hugging_face import of_transformers
from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.lm.scoring import token_log_probs

pytest.importorskip("transformers")
from fairseq.models import FairseqLanguageModel

from fairseq_ebm.lm.copied_cache import CopiedCacheStepper, RereadingStepper
from fairseq_ebm.lm.hugging_face import HuggingFaceDecoder
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.lm.shared_prefix import SharedPrefixStepper
from tests.lm.tiny_hugging_face import FAMILIES, OTHERS, byte_level, family

PREFIXES = torch.tensor([[7, 90, 33, 2, 61, 12], [200, 5, 5, 17, 8, 44]])


@pytest.fixture(scope="module")
def tokenizer():
    return byte_level()


def language_model(name, tokenizer):
    symbols = of_transformers(tokenizer, "nowhere", "--path")
    model = family(name, tokenizer, spare=3).eval()
    return FairseqLanguageModel(HuggingFaceDecoder(symbols.dictionary, model, symbols.symbols))


def sampled(model, n=4, length=9, rows=None):
    streams = [WindowStream(1, "test", i) for i in range(2)]
    return Sampler(model, rows=rows).sample(PREFIXES, n, length, streams)


def require_the_models_own(model, samples):
    windows = torch.cat([PREFIXES[:, None].expand(-1, 4, -1), samples.tokens], dim=-1)
    for found, without_padding in ((samples.log_p, False), (samples.log_q, True)):
        expected = token_log_probs(model, windows.flatten(0, 1), 6, without_padding).sum(dim=1)
        torch.testing.assert_close(found.float(), expected.view(2, 4), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_shared_prefix(name, tokenizer):
    """Mistral's and Gemma's kind sees seven places back: what is drawn is longer."""
    model = language_model(name, tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        sampler = Sampler(model)
        assert isinstance(sampler.stepper, SharedPrefixStepper)
    implementation = model.decoder.model.config._attn_implementation
    samples = sampled(model)
    require_the_models_own(model, samples)
    assert model.decoder.model.config._attn_implementation == implementation
    assert (samples.tokens[0] != samples.tokens[0, :1]).any()
    in_parts = sampled(model, rows=3)
    assert (in_parts.tokens == samples.tokens).all()


@pytest.mark.parametrize(("name", "kind"), OTHERS.items())
def test_others_are_slower_and_as_right(name, kind, tokenizer):
    model = language_model(name, tokenizer)
    with pytest.warns(UserWarning, match="drawing takes longer"):
        stepper = Sampler(model).stepper
    expected = {"copied": CopiedCacheStepper, "reread": RereadingStepper}[kind]
    assert type(stepper) is expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        require_the_models_own(model, sampled(model))


def test_memory_of_keys_does_not_grow_with_the_prefix(tokenizer):
    """What a sample adds is all that is kept for it."""
    stepper = SharedPrefixStepper(language_model("llama", tokenizer).decoder)
    inputs = torch.randint(4, 200, (1, 40))
    with torch.inference_mode():
        samples = stepper.begin(stepper.prefill(inputs), 50, 6)
        samples.step(torch.full((50,), 9))
    (keys, values) = samples._cache.own[0]
    assert keys.shape == values.shape == (1, 2, 50, 6, 8)  # of 4 heads, 2 keep keys
    logits = 5 * 4 * len(stepper.decoder.dictionary)
    assert stepper.bytes_per_row(6) == 2 * 2 * (2 * 8 * 6) * 4 + logits  # 2 layers, float32


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_the_same_with_gradients_and_without(name, tokenizer):
    """Without they are written where they are read from."""
    model = language_model(name, tokenizer)
    tokens = torch.randint(4, 200, (2, 5), generator=torch.Generator().manual_seed(1))
    found, _ = model.decoder(tokens)
    found[..., 6].sum().backward()
    gradient = model.decoder.model.get_input_embeddings().weight.grad
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0
    with torch.inference_mode():
        torch.testing.assert_close(model.decoder(tokens)[0], found.detach())
        row = model.decoder.output_layer(model.decoder.extract_features(tokens)[0][0, 0])
        torch.testing.assert_close(row, found.detach()[0, 0])
