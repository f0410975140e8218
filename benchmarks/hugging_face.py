"""Sampling from Hugging Face models against their own ``generate``, on the same weights.

    .venv/bin/python benchmarks/hugging_face.py                       # about 20 minutes on 2 cores
    .venv/bin/python benchmarks/hugging_face.py --rows gpt2-50k --runs 1

Random models of 6 layers, width 512, 8 heads (of Llama's, pairs share their keys); prefix 120, 40
new tokens. Rows are ratios of rates (benchmarks/timing.py).
"""

import argparse
import resource
import sys
from pathlib import Path
from typing import Any, List, Tuple

import torch
import transformers
from fairseq.data import Dictionary
from fairseq.models import FairseqLanguageModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from fairseq_ebm.data.hugging_face import HuggingFaceTokenizer, Symbols
from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.lm.checkpoint import DTYPES
from fairseq_ebm.lm.hugging_face import HuggingFaceDecoder
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.models.energy import EnergyHead
from fairseq_ebm.models.hugging_face_reader import Template, TextReader

from timing import Timing, machine  # isort: skip

PREFIX, NEW = 120, 40
SYMBOLS = {"50k": 50_257, "150k": 151_936}
SIZES = {"num_hidden_layers": 6, "hidden_size": 512, "num_attention_heads": 8}


def build(family: str, symbols: int) -> Any:
    torch.manual_seed(0)
    end = symbols - 1
    sizes = {**SIZES, "vocab_size": symbols, "max_position_embeddings": 512}
    ends = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    if family == "gpt2":
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **ends)).eval()
    shared = {"intermediate_size": 2048, "num_key_value_heads": 4, "tie_word_embeddings": True}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **ends, **shared)).eval()


def dictionary_of(symbols: int) -> Dictionary:
    dictionary = Dictionary()
    for number in range(symbols):
        dictionary.add_symbol(str(number))
    return dictionary


class Bench(Timing):
    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__(arguments.device, arguments.runs)
        self.n, self.dtype = arguments.samples, DTYPES[arguments.precision]

    def models(self, family: str, symbols: int) -> Tuple[Any, Sampler, torch.Tensor]:
        """A model, our sampler of it, and a prefix in its own numbers."""
        model = build(family, symbols).to(self.device, self.dtype)
        known = Symbols(symbols, symbols - 1, symbols - 1, None, (symbols - 1,))
        decoder = HuggingFaceDecoder(dictionary_of(symbols), model, known)
        ids = torch.randint(symbols - 1, (1, PREFIX), generator=torch.Generator().manual_seed(1))
        return model, Sampler(FairseqLanguageModel(decoder).to(self.device)), ids


def row_speed(bench: Bench, family: str, size: str) -> None:
    model, sampler, ids = bench.models(family, SYMBOLS[size])
    start = torch.cat([torch.full((1, 1), SYMBOLS[size] - 1), ids], dim=1).to(bench.device)

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
    name = f"ours / generate, {family}, {SYMBOLS[size]:,} symbols, n = {bench.n}"
    bench.compare(name, ours, theirs, aim=4)


def row_memory(bench: Bench) -> None:
    """The peak of a process that draws, before and after it draws 8 times as many."""
    _, sampler, ids = bench.models("gpt2", SYMBOLS["50k"])
    peaks: List[float] = []
    for n in (bench.n, 8 * bench.n):
        for _ in sampler.chunks(ids + 4, n, NEW, [WindowStream(1, "bench", 0)]):
            pass
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
    bench.report(
        f"peak of memory, n = {bench.n} and {8 * bench.n}", gib=[round(p, 2) for p in peaks]
    )


def row_reading(bench: Bench) -> None:
    """What a worker needs to read a batch as text, beside the step that it is for: 32 windows of
    160 symbols by an encoder of BERT-base's shape."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({symbol: i for i, symbol in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    symbols = Symbols(len(alphabet), 0, 0, None, ())
    own = HuggingFaceTokenizer(tokenizer, symbols, dictionary_of(len(alphabet)))
    reader = TextReader(own, own, Template((0,), (), 512), padding=1)
    windows = torch.randint(40, 100, (32, 160))
    encoder = transformers.BertModel(transformers.BertConfig(), add_pooling_layer=False)
    head = EnergyHead(768, "mean")

    def step() -> None:
        ids = windows % 1000
        features = encoder(input_ids=ids).last_hidden_state
        head(features, torch.ones_like(ids, dtype=torch.bool)).sum().backward()

    step(), reader(windows)
    seconds = [bench.seconds(lambda: reader(windows)), bench.seconds(step)]
    bench.report("reading 32 windows as text / a training step", share=seconds[0] / seconds[1])


ROWS = {
    **{
        f"{family}-{size}": (lambda bench, f=family, s=size: row_speed(bench, f, s))
        for family in ("gpt2", "llama")
        for size in SYMBOLS
    },
    "memory": row_memory,
    "reading": row_reading,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="(default: %(default)s)")
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
    where = machine(arguments.device, shape=SIZES, transformers=transformers.__version__)
    print("  ".join(f"{name} {value}" for name, value in where.items()))
    for name in arguments.rows.split(","):
        ROWS[name](bench)
    bench.write(Path(arguments.out), where)


if __name__ == "__main__":
    sys.exit(main())
