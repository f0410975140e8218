"""Is it right on this device? check.py --device cuda --out OUT.json

What models say on the device, in float32 and in half precision, against the plain way in float32 on
the CPU: the sampler's log P, energies of each family, losses with their gradients, and bounds. Ends
with 1 if anything is further away than it may be.
"""

import argparse
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from sampling import NEW, PREFIX, SHAPES, build_model  # isort: skip

from fairseq_ebm import register
from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.lm.checkpoint import DTYPES
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.lm.scoring import token_log_probs
from fairseq_ebm.numerics.losses import conditional_nce
from fairseq_ebm.numerics.partition import log_partition_bounds
from fairseq_ebm.selection.weighting import make_weighting

FAMILIES = ("energy_transformer_lm", "energy_roberta", "energy_bilstm", "energy_cnn",
            "energy_linear", "energy_bow", "energy_ngram")  # fmt: skip
WIDTH, WINDOW, WINDOWS = 96, 64, 32
# Largest difference that is rounding: of log P per token in nats; of energies, losses and bounds in
# sizes of the energies, their spread or their mean, whichever is more.
MOST = {"fp32": (1e-4, 1e-4), "bf16": (0.05, 0.1), "fp16": (0.01, 0.02)}

Row = Tuple[str, float, float]  # what, how far, how far it may be


def sampler(device: torch.device, precision: str) -> Iterator[Row]:
    """Drawn on the device, scored on the CPU by fairseq's own forward pass."""
    model = build_model("small")
    prefix = torch.randint(4, SHAPES["small"][-1], (1, PREFIX))
    streams = [WindowStream(1, "check", 0)]
    drawn = Sampler(_on(model, device, precision)).sample(prefix, 64, NEW, streams)
    windows = torch.cat([prefix.expand(64, -1), drawn.tokens[0]], dim=1)
    scores = token_log_probs(build_model("small"), windows, PREFIX, True).double().sum(dim=1)
    apart = float((scores - drawn.log_p[0]).abs().max()) / NEW
    yield "log P of samples, a token", apart, MOST[precision][0]


def _on(model: Any, device: torch.device, precision: str) -> Any:
    return model.to(device, DTYPES[precision])


def energies(device: torch.device, precision: str) -> Iterator[Row]:
    dictionary = build_model("small").decoder.dictionary
    generator = torch.Generator().manual_seed(1)
    windows = torch.randint(4, len(dictionary), (1, WINDOWS, WINDOW), generator=generator)
    windows[..., : WINDOW // 2] = windows[:, :1, : WINDOW // 2]
    for family in FAMILIES:
        width = None if family in ("energy_linear", "energy_ngram") else WIDTH
        plain, other = (_lively(make_weighting(family, width, 1, dictionary)) for _ in range(2))
        other = _on(other, device, precision)
        truth = plain(windows, 0).double()
        shared = other(windows.to(device), WINDOW // 2)
        sizes = truth.detach()
        spread, most = float(max(sizes.std(), sizes.abs().mean())), MOST[precision][1]

        def far(one: torch.Tensor, two: torch.Tensor, spread: float = spread) -> float:
            return (
                float((one.detach().double().cpu() - two.detach().double().cpu()).abs().max())
                / spread
            )

        yield f"{family}: energies", far(shared, truth), most
        yield from _losses(family, (plain, truth), (other, shared), far, most)
        bounds = [log_partition_bounds(each.detach().double().cpu()) for each in (shared, truth)]
        yield f"{family}: log Z", far(bounds[0].jackknife, bounds[1].jackknife), most


def _lively(model: Any) -> Any:
    """Random weights all over: an energy begins as 0 everywhere."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() < 2 or not bool(parameter.any()):
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def _losses(
    family: str, one: Tuple[Any, Any], two: Tuple[Any, Any], far: Callable[..., float], most: float
) -> Iterator[Row]:
    """Conditional NCE of the first window against the others; the direction of its gradient."""
    found: List[Tuple[torch.Tensor, torch.Tensor]] = []
    for model, values in (one, two):
        loss = conditional_nce(values[:, 0].float(), values[:, 1:].float()).mean()
        loss.backward()
        grads = [p.grad.double().cpu().flatten() for p in model.parameters() if p.grad is not None]
        found.append((loss.detach(), torch.cat(grads)))
    yield f"{family}: conditional NCE", far(found[0][0], found[1][0]), most
    cosine = torch.nn.functional.cosine_similarity(found[0][1], found[1][1], dim=0)
    yield f"{family}: 1 - cosine of gradients", 1 - float(cosine), most


CHECKS = (sampler, energies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--out", type=Path, required=True)
    given: Namespace = parser.parse_args()
    register()
    rows: List[Dict[str, Any]] = []
    for precision in given.precisions.split(","):
        for check in CHECKS:
            for name, apart, most in check(torch.device(given.device), precision):
                is_right = apart <= most
                rows.append({"row": f"{precision}: {name}", "apart": apart, "at most": most,
                             "right": is_right})  # fmt: skip
                mark = "" if is_right else "   TOO FAR"
                print(f"{precision} {name:50} {apart:.2e} of {most:g}{mark}", flush=True)
                given.out.write_text(json.dumps({"rows": rows}, indent=2) + "\n")
    raise SystemExit(not all(row["right"] for row in rows))


if __name__ == "__main__":
    main()
