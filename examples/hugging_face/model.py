"""A small model of transformers, trained on a built-in corpus as its kind is."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

import torch
import transformers
from torch import Tensor

from fairseq_ebm.cli.main import ending
from fairseq_ebm.cli.parser import parse
from fairseq_ebm.data.options import BUILT_IN
from fairseq_ebm.data.sources import built_in_corpus
from fairseq_ebm.options import REQUIRED, Quiet, choice, file, number, whole

FAMILIES = ("gpt2", "llama", "bert")
POSITIONS, BLOCK, BATCH, WARMUP = 256, 160, 16, 100
LOG_EVERY = 100


@dataclass(frozen=True)
class Arguments(Quiet):
    """Trains a GPT-2, a Llama (rotary positions, keys shared by two heads) or a BERT (masked
    words) from nothing, and saves it with its tokenizer as its library does."""

    tokenizer: Path = file(REQUIRED, "folder of its tokenizer", "TOKENIZER", argument=True)
    dest: Path = file(REQUIRED, "folder to write", "DEST", argument=True)
    family: str = choice("gpt2", "what it is", FAMILIES)
    corpus: str = choice("pydocs", "whose training text is used", BUILT_IN[:3])
    updates: int = whole(1000, f"of {BATCH} blocks of {BLOCK} symbols", 1)
    layers: int = whole(2, "layers", 1)
    width: int = whole(128, "of the features", 8)
    lr: float = number(0.003, "highest learning rate", "LR")


def config_of(options: Arguments, tokenizer: Any) -> Any:
    sizes: Dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": options.width,
        "num_hidden_layers": options.layers,
        "num_attention_heads": 4,
        "max_position_embeddings": POSITIONS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if options.family == "gpt2":
        return transformers.GPT2Config(**sizes)
    sizes["intermediate_size"] = 4 * options.width
    if options.family == "llama":
        return transformers.LlamaConfig(**sizes, num_key_value_heads=2, tie_word_embeddings=True)
    return transformers.BertConfig(**sizes)


def symbols_of(tokenizer: Any, texts: List[str]) -> Tensor:
    """One after another, each with what ends it."""
    end = tokenizer.eos_token_id
    end = tokenizer.sep_token_id if end is None else end
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return torch.tensor([symbol for ids in encoded for symbol in (*ids, end)])


def batches(symbols: Tensor, updates: int) -> Iterator[Tensor]:
    """(BATCH, BLOCK), from anywhere."""
    generator = torch.Generator().manual_seed(1)
    places = torch.arange(BLOCK)
    for _ in range(updates):
        starts = torch.randint(len(symbols) - BLOCK, (BATCH, 1), generator=generator)
        yield symbols[starts + places]


def inputs_of(blocks: Tensor, options: Arguments, tokenizer: Any) -> Dict[str, Tensor]:
    if options.family == "bert":
        masking = transformers.DataCollatorForLanguageModeling(tokenizer)
        return dict(masking(list(blocks)))
    start = torch.full((len(blocks), 1), tokenizer.bos_token_id)
    read = torch.cat([start, blocks], dim=1)
    return {"input_ids": read, "labels": read}


def rate(update: int, updates: int) -> float:
    """Up, then down as a cosine."""
    return min(update / WARMUP, 0.5 + 0.5 * math.cos(math.pi * update / updates))


def main(options: Arguments) -> None:
    torch.manual_seed(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.tokenizer)
    symbols = symbols_of(tokenizer, built_in_corpus(options.corpus, 1, 1)["train"])
    config = config_of(options, tokenizer)
    auto = transformers.AutoModelForCausalLM
    model = (transformers.AutoModelForMaskedLM if options.family == "bert" else auto).from_config(
        config
    )
    optimizer = torch.optim.AdamW(model.parameters(), options.lr, (0.9, 0.98), weight_decay=0.01)
    total = 0.0
    for update, blocks in enumerate(batches(symbols, options.updates), 1):
        optimizer.param_groups[0]["lr"] = options.lr * rate(update, options.updates)
        loss = model(**inputs_of(blocks, options, tokenizer)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += float(loss.detach())
        if update % LOG_EVERY == 0 and not options.quiet:
            print(f"update {update} of {options.updates}: {total / LOG_EVERY:.3f} nats", flush=True)
            total = 0.0
    model.save_pretrained(options.dest)
    tokenizer.save_pretrained(options.dest)


if __name__ == "__main__":
    asked = parse("model.py", Arguments, sys.argv[1:])
    with ending("model.py", asked):
        main(asked)
