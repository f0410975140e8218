"""Sampling speed against stock fairseq and Hugging Face, on random models of one shape.

    make bench                                    # the whole table, about 20 minutes on 2 cores
    .venv/bin/python benchmarks/sampling.py --rows stock,hf --runs 1
    python benchmarks/sampling.py --device cuda --shape paper --precision bf16 --samples 10000 \\
        --peer-samples 512 --rows correct,floor,hf,stock --runs 1        # on a GPU

Rows are ratios of rates (benchmarks/timing.py). Writes the table to standard output and JSON to
runs/bench/.
"""

import argparse
import copy
import resource
import statistics
from argparse import Namespace
from pathlib import Path
from typing import Any, Callable

import torch
import torch.nn.functional as F
from fairseq import search
from fairseq.data import Dictionary
from fairseq.models.transformer_lm import TransformerLanguageModel, TransformerLanguageModelConfig
from fairseq.sequence_generator import SequenceGenerator

from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.lm.checkpoint import DTYPES
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.lm.scoring import token_log_probs
from fairseq_ebm.numerics.drawing import UNTRUNCATED, Truncation, draw

from launches import row_compile, row_graphs, row_profile  # isort: skip
from timing import PEAK, Timing, machine  # isort: skip

PREFIX, NEW = 120, 40
SHAPES = {  # layers, width, feed-forward, heads, symbols
    "tiny": (2, 64, 128, 4, 1000),
    "small": (6, 512, 2048, 8, 8008),
    "paper": (12, 1024, 4096, 16, 50096),
}


def build_model(shape: str) -> Any:
    layers, width, inner, heads, symbols = SHAPES[shape]
    dictionary = Dictionary()
    for i in range(symbols - dictionary.nspecial):
        dictionary.add_symbol(f"s{i}")
    config = TransformerLanguageModelConfig(
        decoder_layers=layers,
        decoder_embed_dim=width,
        decoder_input_dim=width,
        decoder_output_dim=width,
        decoder_ffn_embed_dim=inner,
        decoder_attention_heads=heads,
        share_decoder_input_output_embed=True,
    )
    config.tokens_per_sample = config.max_target_positions = 512
    task = Namespace(source_dictionary=dictionary, target_dictionary=dictionary)
    torch.manual_seed(0)
    return TransformerLanguageModel.build_model(config, task).eval()


class Bench(Timing):
    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__(arguments.device, arguments.runs)
        self.new = NEW
        self.shape, self.dtype = arguments.shape, DTYPES[arguments.precision]
        self.peer_samples = arguments.peer_samples or arguments.samples
        self.model = build_model(self.shape).to(self.device, self.dtype)
        self.dictionary = self.model.decoder.dictionary
        self.prefix = torch.randint(4, len(self.dictionary), (1, PREFIX))

    def ours(
        self, n: int, windows: int = 1, truncation: Truncation = UNTRUNCATED, model: Any = None
    ) -> None:
        sampler = Sampler(model or self.model, truncation)
        streams = [WindowStream(1, "bench", i) for i in range(windows)]
        for _ in sampler.chunks(self.prefix.expand(windows, -1), n, NEW, streams):
            pass

    def stock(self, n: int, top_k: int = -1) -> None:
        generator = SequenceGenerator(
            [self.model],
            self.dictionary,
            beam_size=n,
            max_len_a=0,
            max_len_b=PREFIX + NEW,
            min_len=PREFIX + NEW,
            search_strategy=search.Sampling(self.dictionary, sampling_topk=top_k),
        )
        prefix = self.prefix.to(self.device)
        sample = {"net_input": {"src_tokens": prefix, "src_lengths": None}}
        with torch.no_grad():
            found = generator.generate(
                [self.model], sample, prefix_tokens=prefix, bos_token=self.dictionary.eos()
            )
        assert len(found[0]) == n and len(found[0][0]["tokens"]) == PREFIX + NEW + 1

    def hugging_face(self) -> Callable[..., None]:
        from transformers import GPT2Config, GPT2LMHeadModel  # noqa: PLC0415 (an extra)

        layers, width, inner, heads, symbols = SHAPES[self.shape]
        config = GPT2Config(symbols, 512, width, layers, heads, inner)
        model = GPT2LMHeadModel(config).eval().to(self.device, self.dtype)
        start = torch.cat([torch.full((1, 1), 2), self.prefix], dim=1).to(self.device)

        def generate(n: int, top_k: int = 0) -> None:
            with torch.no_grad():
                out = model.generate(
                    start,
                    attention_mask=torch.ones_like(start),
                    do_sample=True,
                    top_k=top_k,
                    num_return_sequences=n,
                    max_new_tokens=NEW,
                    min_new_tokens=NEW,
                    pad_token_id=0,
                )
            assert out.shape == (n, PREFIX + 1 + NEW)

        return generate


def row_stock(bench: Bench, n: int) -> None:
    _against(bench, n, "stock fairseq", bench.stock, aim=15)


def row_hf(bench: Bench, n: int) -> None:
    _against(bench, n, "Hugging Face", bench.hugging_face(), aim=8)


def _against(bench: Bench, n: int, name: str, peer: Callable[..., None], aim: float) -> None:
    m = bench.peer_samples
    counts = f"n = {n}" if m == n else f"n = {n} / {m}, per sample"
    for top_k in (None, 10):
        truncation = Truncation(top_k=top_k)
        options = {} if top_k is None else {"top_k": top_k}
        bench.compare(
            f"ours / {name}, {counts}" + (", top-k 10" if top_k else ""),
            lambda t=truncation: bench.ours(n, truncation=t),
            lambda o=options: peer(m, **o),
            work=n / m,
            aim=aim,
        )


def row_bf16(bench: Bench, n: int) -> None:
    half = build_model(bench.shape).to(bench.device).bfloat16()
    half.load_state_dict(bench.model.state_dict())
    bench.compare(
        f"bf16 / float32, n = {n}",
        lambda: bench.ours(n, model=half),
        lambda: bench.ours(n),
        aim=1.8,
    )


def row_prefixes(bench: Bench, n: int) -> None:
    bench.compare(
        f"64 prefixes x 16 / 1 prefix x {n}, tokens per second",
        lambda: bench.ours(16, windows=64),
        lambda: bench.ours(n),
        work=64 * 16 / n,
        aim=0.8,
    )


def row_floor(bench: Bench, n: int) -> None:
    """The matrix products that cannot be avoided, alone: one step's of n rows, 40 times."""
    layers, width, inner, _, symbols = SHAPES[bench.shape]
    shapes = [(3 * width, width), (width, width), (inner, width), (width, inner)]
    weights = [
        torch.randn(s, device=bench.device, dtype=bench.dtype)
        for _ in range(layers)
        for s in shapes
    ]
    weights.append(torch.randn(symbols, width, device=bench.device, dtype=bench.dtype))
    inputs = {k: torch.randn(n, k, device=bench.device, dtype=bench.dtype) for k in (width, inner)}

    def products() -> None:
        for _ in range(NEW):
            for weight in weights:
                F.linear(inputs[weight.size(1)], weight)

    bench.compare(
        f"matrix products alone / ours, n = {n}: share of the floor",
        lambda: bench.ours(n),
        products,
    )
    operations = 2 * n * NEW * sum(w.numel() for w in weights)
    rate = operations / bench.results[-1]["seconds_ours"]
    peak = PEAK.get(bench.dtype) if bench.device.type == "cuda" else None
    bench.report(
        "  operations of those products",
        gigaflop=operations / 1e9,
        tera_per_second=rate / 1e12,
        share_of_peak=peak and rate / peak,
    )


def row_draw(bench: Bench, n: int) -> None:
    """Drawing from 50,096 symbols beside the step that leads to it, on the same width."""
    layers, width, inner, _, _ = SHAPES[bench.shape]
    step = [(3 * width, width), (width, width), (inner, width), (width, inner)] * layers
    weights = [
        torch.randn(s, device=bench.device, dtype=bench.dtype) for s in [*step, (50096, width)]
    ]
    inputs = {k: torch.randn(n, k, device=bench.device, dtype=bench.dtype) for k in (width, inner)}
    logits = F.linear(inputs[width], weights[-1])
    uniforms = torch.rand(n, 1, dtype=torch.float64, device=bench.device)

    def one_draw() -> None:
        draw(logits, uniforms, never=1)

    def one_step() -> None:
        for weight in weights:
            F.linear(inputs[weight.size(1)], weight)

    one_draw(), one_step()
    pairs = [(bench.seconds(one_draw), bench.seconds(one_step)) for _ in range(10)]
    shares = [a / (a + b) for a, b in pairs]
    bench.report(
        f"drawing from 50,096 symbols, n = {n}: share of a step",
        share=statistics.median(shares),
        aim_below=0.2,
    )


def row_large(bench: Bench, n: int) -> None:
    counts = (2500, 5000, 10_000)
    seconds = [bench.seconds(lambda c=c: bench.ours(c)) for c in counts]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    bench.report(
        "n = 2,500, 5,000, 10,000 for one prefix",
        seconds_per_1000=[round(1000 * s / c, 2) for s, c in zip(seconds, counts)],
        peak_gib_of_process=peak,
        aim_below=4,
    )


def row_correct(bench: Bench, n: int) -> None:
    """Samples drawn on this device in float32, scored by stock fairseq on the CPU in float32."""
    model = build_model(bench.shape)
    drawn = Sampler(copy.deepcopy(model).to(bench.device)).sample(
        bench.prefix, 16, NEW, [WindowStream(1, "bench", 0)]
    )
    windows = torch.cat([bench.prefix.expand(16, -1), drawn.tokens[0]], dim=1)
    scores = token_log_probs(model, windows, PREFIX).double()
    difference = float((scores.sum(dim=1) - drawn.log_p[0]).abs().max())
    bench.report("log p when drawn / scored on the CPU: largest difference", nats=difference)


ROWS = {
    "correct": row_correct,
    "large": row_large,  # first: its peak of memory is the process's so far
    "floor": row_floor,
    "draw": row_draw,
    "prefixes": row_prefixes,
    "bf16": row_bf16,
    "hf": row_hf,
    "stock": row_stock,
    "profile": row_profile,
}
ON_A_GPU = {"graphs": row_graphs, "compile": row_compile}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="(default: %(default)s)")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--peer-samples", type=int, help="where the peers cannot hold as many")
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--runs", type=int, default=3, help="pairs of runs, of which the median")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", default="runs/bench/sampling.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bench = Bench(arguments)
    where = machine(arguments.device, shape=SHAPES[arguments.shape])
    print("  ".join(f"{name} {value}" for name, value in where.items()))
    bench.write_to(Path(arguments.out), where)
    for name in arguments.rows.split(","):
        {**ROWS, **ON_A_GPU}[name](bench, arguments.samples)
    bench.write(Path(arguments.out), where)


if __name__ == "__main__":
    main()
