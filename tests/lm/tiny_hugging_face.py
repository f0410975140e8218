"""Hugging Face models saved to a folder: random ones of several families, and one that recites."""

import torch
import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

TEXTS = [
    "The cat sat on the mat.",
    "A dog <|endoftext|> na\u00efve \U0001f600 \u2581 x </s><s>",
    "  Hello  world ",
    "e\u0301 \ufb01 \u4e2d\u6587 \x07 \t \u200b",
]

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


def byte_level(texts=TEXTS, symbols=300):
    """As GPT-2's: what ends a text also starts it."""
    tokenizer, end = Tokenizer(models.BPE()), "<|endoftext|>"
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=symbols,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[end],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    special = dict.fromkeys(("eos_token", "bos_token", "unk_token"), end)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def byte_fallback(kind="bpe", texts=TEXTS):
    """As Llama's, or a Unigram model of the same manner: what it lacks is spelled in bytes."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += sorted({c for text in texts for c in text.replace(" ", "\u2581") if c.isascii()})
    pieces += ["\u2581", "\u2581the", "at", "\u2581c"]
    pieces = list(dict.fromkeys(pieces))
    if kind == "bpe":
        vocabulary = {piece: i for i, piece in enumerate(pieces)}
        merges = [("a", "t"), ("\u2581", "c")]
        model = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    else:
        model = models.Unigram([(piece, -1.0) for piece in pieces], 0, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
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


SEES = 7  # places back, in models that do not see all
FAMILIES = ("gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2")  # share a prefix
OTHERS = {"bloom": "copied", "mamba": "reread"}


def family(name, tokenizer, spare=0):
    """A random model of a family, with ``spare`` rows that are no symbols."""
    torch.manual_seed(1)
    sizes = {
        "vocab_size": len(tokenizer) + spare,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": 0.3,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    grouped = {"num_key_value_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64}
    own = {
        "gpt2": {"n_positions": 64},
        "mistral": {"sliding_window": SEES},
        "qwen3": {"head_dim": 8},
        "gemma": {"head_dim": 8, "pad_token_id": None},
        "gemma2": {
            "head_dim": 8, "sliding_window": SEES, "pad_token_id": None,
            "attn_implementation": "eager",
        },
        "mamba": {"state_size": 4},
    }.get(name, {})  # fmt: skip
    names = {"gpt2": "GPT2", "gemma2": "Gemma2", "qwen2": "Qwen2", "qwen3": "Qwen3"}
    stem = names.get(name, name.capitalize())
    if name not in ("gpt2", "bloom", "mamba"):
        sizes.update(grouped)
    config = getattr(transformers, f"{stem}Config")(**sizes, **own)
    model = "GPT2LMHeadModel" if name == "gpt2" else f"{stem}ForCausalLM"
    return getattr(transformers, model)(config)


def word_pieces(texts=TEXTS):
    """As BERT's: everything in small letters, [CLS] before and [SEP] behind a text."""
    words = sorted({w for text in texts for w in text.lower().split() if w.isascii()})
    letters = [c for c in "abcdefghijklmnopqrstuvwxyz.<>|/_"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = list(dict.fromkeys([*special, *words, *letters, *(f"##{c}" for c in letters)]))
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=62, **dict(zip(names, special))
    )


ENCODERS = ("bert", "roberta", "modernbert", "deberta_v2")


def encoder(name, tokenizer):
    """A random one."""
    torch.manual_seed(1)
    stem = {"bert": "Bert", "roberta": "Roberta", "modernbert": "ModernBert"}.get(name, "DebertaV2")
    own = {
        "modernbert": {"local_attention": 8, "attn_implementation": "sdpa", "cls_token_id": 2,
                       "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
        "deberta_v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    }.get(name, {})  # fmt: skip
    config = getattr(transformers, f"{stem}Config")(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
        pad_token_id=0,
        **own,
    )
    return getattr(transformers, f"{stem}Model")(config)
