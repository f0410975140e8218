"""Hugging Face models saved to a folder: a random GPT-2, and one that recites."""

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def words(symbols, **special):
    """A tokenizer whose symbols are words between spaces."""
    vocabulary = {symbol: i for i, symbol in enumerate(symbols)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=symbols[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def characters(**special):
    """A tokenizer whose symbols are bytes, as GPT-2's without its merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: i for i, symbol in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def letters(alphabet, **special):
    """A tokenizer that joins a space to what follows it, as Llama's: a text's first is lost."""
    tokenizer = Tokenizer(models.BPE({symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def config(tokenizer, width, positions, **more):
    return GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=positions,
        n_embd=width,
        n_layer=1,
        n_head=1,
        initializer_range=0.5,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **more,
    )


def save(folder, tokenizer, model):
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def random_model(folder, tokenizer, positions=64, **generation):
    """``generation``: what its generation_config.json advises."""
    torch.manual_seed(1)
    model = GPT2LMHeadModel(config(tokenizer, 16, positions))
    model.generation_config.update(do_sample=True, **generation)
    return save(folder, tokenizer, model)


@torch.no_grad()
def reciting_model(folder, tokenizer, recited, positions=64):
    """Behind each of the symbols ``recited`` (ids) it writes the next, behind the last the first.

    Attention and feed-forward parts add nothing: logits are a table, whose row is the symbol read.
    """
    table = config(tokenizer, len(tokenizer), positions, tie_word_embeddings=False)
    model = GPT2LMHeadModel(table)
    for name, weight in model.named_parameters():
        if "ln_" not in name:
            weight.zero_()
    symbols = torch.tensor(recited)
    model.transformer.wte.weight.copy_(torch.eye(len(tokenizer)))
    model.lm_head.weight[symbols.roll(-1), symbols] = 100.0
    return save(folder, tokenizer, model)
