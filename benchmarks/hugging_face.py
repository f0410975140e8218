"""Sampling from Hugging Face models against their own ``generate``, on the same weights.

    .venv/bin/python benchmarks/hugging_face.py                       # about 20 minutes on 2 cores
    .venv/bin/python benchmarks/hugging_face.py --rows qwen2-0.5b --runs 1    # not among the rest

Random models: of 6 layers, width 512 and 8 heads (of Llama's, pairs share their keys), of two
vocabularies; of GPT-2's own shape, and of Qwen2.5-0.5B's. Prefix 120, 40 new tokens. Rows are
ratios of rates (benchmarks/timing.py).
"""

import argparse
import resource
import sys
from pathlib import Path
from typing import Any, List, Tuple

import numpy as np
import torch
import transformers
from fairseq.data import Dictionary
from fairseq.models import FairseqLanguageModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from fairseq_ebm.data.hugging_face import HuggingFaceTokenizer, Symbols
from fairseq_ebm.data.sources import built_in_corpus
from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.lm.checkpoint import DTYPES
from fairseq_ebm.lm.hugging_face import HuggingFaceDecoder
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.models.energy import EnergyHead
from fairseq_ebm.models.hugging_face_reader import NOTHING, Template, TextReader

from timing import Timing, machine  # isort: skip

PREFIX, NEW = 120, 40
SMALL = {"num_hidden_layers": 6, "hidden_size": 512, "num_attention_heads": 8}
LLAMA = {**SMALL, "intermediate_size": 2048, "num_key_value_heads": 4, "tie_word_embeddings": True}
GPT2 = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12}
QWEN2 = {
    "num_hidden_layers": 24,
    "hidden_size": 896,
    "num_attention_heads": 14,
    "intermediate_size": 4864,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
MODELS = {
    "gpt2-50k": (transformers.GPT2Config, 50_257, SMALL),
    "llama-50k": (transformers.LlamaConfig, 50_257, LLAMA),
    "gpt2-150k": (transformers.GPT2Config, 151_936, SMALL),
    "llama-150k": (transformers.LlamaConfig, 151_936, LLAMA),
    "gpt2-124m": (transformers.GPT2Config, 50_257, GPT2),
    "qwen2-0.5b": (transformers.Qwen2Config, 151_936, QWEN2),
}


def build(name: str) -> Any:
    torch.manual_seed(0)
    config, symbols, sizes = MODELS[name]
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), symbols - 1)
    made = config(vocab_size=symbols, max_position_embeddings=512, **sizes, **ends)
    return transformers.AutoModelForCausalLM.from_config(made).eval()


def dictionary_of(symbols: int) -> Dictionary:
    dictionary = Dictionary()
    for number in range(symbols):
        dictionary.add_symbol(str(number))
    return dictionary


class Bench(Timing):
    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__(arguments.device, arguments.runs)
        self.n, self.dtype = arguments.samples, DTYPES[arguments.precision]

    def models(self, name: str) -> Tuple[Any, Sampler, torch.Tensor]:
        """A model, our sampler of it, and a prefix in its own numbers."""
        model, symbols = build(name).to(self.device, self.dtype), MODELS[name][1]
        known = Symbols(symbols, symbols - 1, symbols - 1, None, (symbols - 1,))
        decoder = HuggingFaceDecoder(dictionary_of(symbols), model, known)
        ids = torch.randint(symbols - 1, (1, PREFIX), generator=torch.Generator().manual_seed(1))
        return model, Sampler(FairseqLanguageModel(decoder).to(self.device)), ids


def row_speed(bench: Bench, name: str) -> None:
    model, sampler, ids = bench.models(name)
    end = model.config.eos_token_id
    start = torch.cat([torch.full((1, 1), end), ids], dim=1).to(bench.device)

    def ours() -> None:
        for _ in sampler.chunks(ids + 4, bench.n, NEW, [WindowStream(1, "bench", 0)]):
            pass

    def theirs() -> None:
        with torch.inference_mode():
            found = model.generate(
                start,
                attention_mask=torch.ones_like(start),
                do_sample=True,
                top_k=0,
                num_return_sequences=bench.n,
                max_new_tokens=NEW,
                min_new_tokens=NEW,
            )
        assert found.shape == (bench.n, PREFIX + 1 + NEW)

    kind = type(sampler.stepper).__name__
    assert kind == "SharedPrefixStepper", kind
    bench.compare(f"ours / generate, {name}, n = {bench.n}", ours, theirs, aim=4)


def row_memory(bench: Bench) -> None:
    """The peak of a process that draws, before and after it draws 8 times as many."""
    _, sampler, ids = bench.models("gpt2-50k")
    peaks: List[float] = []
    for n in (bench.n, 8 * bench.n):
        for _ in sampler.chunks(ids + 4, n, NEW, [WindowStream(1, "bench", 0)]):
            pass
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
    bench.report(
        f"peak of memory, n = {bench.n} and {8 * bench.n}", gib=[round(p, 2) for p in peaks]
    )


def trained(symbols: int, texts: List[str]) -> HuggingFaceTokenizer:
    """Bytes and what is merged of them, as GPT-2's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=symbols,
        initial_alphabet=alphabet,
        special_tokens=["<end>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return HuggingFaceTokenizer(
        tokenizer, Symbols(symbols, 0, 0, None, (0,)), dictionary_of(symbols)
    )


def row_reading(bench: Bench) -> None:
    """What a worker needs to read a batch as text, beside the step that it is for: 32 windows of
    160 symbols, of 8,000, in 16,000 others, by an encoder of BERT-base's shape."""
    texts = built_in_corpus("pydocs", 1, 1)["train"]
    of_data, own = trained(8_000, texts), trained(16_000, texts)
    tokens = np.concatenate(of_data.encode(texts[:200]))[: 32 * 160]
    windows = torch.from_numpy(tokens.astype(np.int64)).view(32, 160)
    reader = TextReader(of_data, own, Template((0,), (), 512), padding=1)
    config = transformers.BertConfig(vocab_size=16_000)
    encoder = transformers.BertModel(config, add_pooling_layer=False).to(bench.device)
    head, read = EnergyHead(768, "mean").to(bench.device), reader(windows).to(bench.device)

    def step() -> None:
        is_token = read != NOTHING
        ids = read.masked_fill(~is_token, 0)
        features = encoder(input_ids=ids, attention_mask=is_token.long()).last_hidden_state
        head(features, is_token).sum().backward()

    step(), reader(windows)
    reading, training = bench.seconds(lambda: reader(windows)), bench.seconds(step)
    bench.report("reading 32 windows as text / a training step", share=reading / training)
    bench.report("windows that one process reads a second", rate=32 / reading)


ROWS = {
    "memory": row_memory,  # first: it is the highest of the whole process
    **{name: (lambda bench, name=name: row_speed(bench, name)) for name in MODELS},
    "reading": row_reading,
}
ALL_BUT_LARGE = [name for name in ROWS if name != "qwen2-0.5b"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default=",".join(ALL_BUT_LARGE), help="(default: %(default)s)")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--runs", type=int, default=3, help="pairs of runs, of which the median")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", default="runs/bench/hugging_face.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    transformers.logging.set_verbosity_error()
    bench = Bench(arguments)
    where = machine(arguments.device, transformers=transformers.__version__)
    print("  ".join(f"{name} {value}" for name, value in where.items()))
    for name in arguments.rows.split(","):
        ROWS[name](bench)
    bench.write(Path(arguments.out), where)


if __name__ == "__main__":
    sys.exit(main())
