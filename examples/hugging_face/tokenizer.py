"""A Hugging Face tokenizer made of a built-in corpus: where no download is, there is one."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from fairseq_ebm.cli.main import ending
from fairseq_ebm.cli.parser import parse
from fairseq_ebm.data.options import BUILT_IN
from fairseq_ebm.data.sources import built_in_corpus
from fairseq_ebm.options import REQUIRED, Quiet, choice, file, whole

KINDS = ("bytes", "words")
END = "<|endoftext|>"
NAMES = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


@dataclass(frozen=True)
class Arguments(Quiet):
    """Makes a tokenizer as GPT-2 has (bytes and what is merged of them; one symbol starts and ends
    texts) or as BERT has (small letters, pieces of words, [CLS] and [SEP] around a text)."""

    dest: Path = file(REQUIRED, "folder to write", "DEST", argument=True)
    kind: str = choice("bytes", "as GPT-2's, or as BERT's", KINDS)
    corpus: str = choice("pydocs", "whose training text is used", BUILT_IN[:3])
    symbols: int = whole(2000, "in the vocabulary", 300)


def of_bytes() -> "tuple[Tokenizer, trainers.Trainer, dict[str, str]]":
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=[END])
    return tokenizer, trainer, dict.fromkeys(("eos_token", "bos_token", "unk_token"), END)


def of_words() -> "tuple[Tokenizer, trainers.Trainer, dict[str, str]]":
    tokenizer = Tokenizer(models.WordPiece(unk_token=NAMES["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    around = [(NAMES[name], list(NAMES).index(name)) for name in ("cls", "sep")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=around
    )
    trainer = trainers.WordPieceTrainer(special_tokens=list(NAMES.values()))
    return tokenizer, trainer, {f"{name}_token": token for name, token in NAMES.items()}


def main(options: Arguments) -> None:
    tokenizer, trainer, special = {"bytes": of_bytes, "words": of_words}[options.kind]()
    trainer.vocab_size, trainer.show_progress = options.symbols, False
    texts = built_in_corpus(options.corpus, 1, 1)["train"]
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(options.dest)
    if not options.quiet:
        print(f"{tokenizer.get_vocab_size():,} symbols in {options.dest}")


if __name__ == "__main__":
    asked = parse("tokenizer.py", Arguments, sys.argv[1:])
    with ending("tokenizer.py", asked):
        main(asked)
