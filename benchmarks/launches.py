"""Rows of benchmarks/sampling.py: what sampling launches on a device, and whether fewer launches of
the same work win there. ``bench``: sampling.py's."""

from typing import Any

import torch

from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.numerics.drawing import UNTRUNCATED, draw


def row_profile(bench: Any, n: int) -> None:
    """Where the time goes: the dearest kernels."""
    bench.ours(n)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    is_cuda = bench.device.type == "cuda"
    kinds += [torch.profiler.ProfilerActivity.CUDA] if is_cuda else []
    with torch.profiler.profile(activities=kinds) as profile:
        bench.ours(n)
    own = "self_device_time_total" if is_cuda else "self_cpu_time_total"
    events = sorted(profile.key_averages(), key=lambda event: -getattr(event, own))
    total = sum(getattr(event, own) for event in events)
    for event in events[:5]:
        bench.report(f"  {event.key[:56]}", share=getattr(event, own) / total, calls=event.count)


def row_graphs(bench: Any, n: int) -> None:
    """A whole chunk of samples as one CUDA graph, if it can be captured: without it, each step
    waits for what the CPU launches."""
    sampler = Sampler(bench.model, rows=n)
    inputs = torch.cat([bench.prefix.new_full((1, 1), sampler.eos), bench.prefix], dim=1)
    prefix = sampler.stepper.prefill(inputs.to(bench.device))
    uniforms = torch.rand(1, n, bench.new, dtype=torch.float64, device=bench.device)
    begin = lambda: sampler.stepper.begin(prefix, n, bench.new - 1)  # noqa: E731
    work = lambda: sampler.drawn(prefix, begin(), uniforms)  # noqa: E731
    with torch.inference_mode():
        work()
        graph, begun = torch.cuda.CUDAGraph(), begin()
        try:
            with torch.cuda.graph(graph):
                sampler.drawn(prefix, begun, uniforms)
        except Exception as error:
            bench.report("a chunk as a CUDA graph", cannot=str(error).split("\n")[0])
            return
        bench.compare(f"a chunk as a CUDA graph / as it is, n = {n}", graph.replay, work)


def row_compile(bench: Any, n: int) -> None:
    """Output layer and draw by torch.compile."""
    sampler = Sampler(bench.model)
    width = bench.model.decoder.output_embed_dim
    features = torch.randn(n, width, device=bench.device, dtype=bench.dtype)
    uniforms = torch.rand(n, 1, dtype=torch.float64, device=bench.device)

    def plain() -> None:
        draw(sampler.stepper.scores(features), uniforms, sampler.pad, UNTRUNCATED)

    with torch.inference_mode():
        try:
            fast = torch.compile(plain)
            fast()
        except Exception as error:
            bench.report("draw by torch.compile", cannot=str(error).split("\n")[0])
            return
        bench.compare(f"draw by torch.compile / as it is, n = {n}", fast, plain)
