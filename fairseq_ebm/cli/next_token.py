"""fairseq-ebm-next-token: what comes next after a text, for the base LM and the joint model."""

import argparse
import dataclasses
from pathlib import Path

import torch

from ..data.tokenizers import Tokenizer, load_tokenizer, require_known
from ..errors import UserError
from ..joint.checkpoints import load_joint_checkpoints
from ..joint.next_token import NextToken, candidates, probabilities
from ..records import write_json
from . import processes
from .program import ArgumentParser, progress, run, whole_number

DESCRIPTION = """\
Probabilities of the next token after a text: of the language model, and of the joint
model P_LM(x) exp(-E(x)) / Z, which looks ahead by completing the text many times after
each of the likeliest candidates.

  fairseq-ebm-next-token DATA --path lm.pt:energy.pt --prefix "The function returns"
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-next-token", description=DESCRIPTION)
    parser.add_argument("data", metavar="DATA", help="prepared directory, for its vocabulary")
    parser.add_argument(
        "--path", required=True, metavar="LM.pt:ENERGY.pt", help="checkpoints, in any order"
    )
    parser.add_argument("--prefix", required=True, metavar="TEXT", help="what stands before")
    parser.add_argument("--top", type=whole_number(1), default=10, help="to show (default: 10)")
    parser.add_argument(
        "--candidates",
        type=whole_number(2),
        default=128,
        help="symbols that the language model finds likeliest (default: 128)",
    )
    parser.add_argument(
        "--num-samples",
        type=whole_number(2),
        default=1000,
        help="completions of each candidate (default: 1000)",
    )
    parser.add_argument(
        "--window",
        type=whole_number(1),
        help="tokens up to which a text is completed (default: what the energy was trained on)",
    )
    parser.add_argument("--seed", type=whole_number(0), default=1, help="(default: 1)")
    parser.add_argument("--results-path", metavar="OUT.json", help="write all candidates there")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    machine = parser.add_argument_group("machine")
    processes.add_precision_flags(machine)
    processes.add_memory_flag(machine)
    return parser


def next_token(arguments: argparse.Namespace) -> None:
    data = Path(arguments.data)
    tokenizer = load_tokenizer(data)
    if arguments.results_path:
        out = Path(arguments.results_path)
        out.parent.mkdir(parents=True, exist_ok=True)
    encoded = tokenizer.encode([arguments.prefix])
    require_known(encoded, tokenizer.dictionary, "--prefix")
    prefix = torch.from_numpy(encoded[0])
    precision, device = processes.precision(arguments), processes.device(arguments)
    models = load_joint_checkpoints(
        arguments.path, data, precision, device, arguments.sampling_memory
    )
    if models.energy is None:
        raise UserError("--path: no energy; give LM.pt:ENERGY.pt")
    window = arguments.window or models.window
    models.require_window(window)
    models.require_density()
    if models.lm.right_to_left:
        raise UserError("--path: the language model reads right to left: it knows no next token")
    if len(prefix) >= window:
        raise UserError(f"--prefix: {len(prefix)} tokens fill the window of {window} (--window)")
    doubts = models.doubts(len(prefix))
    count = min(arguments.candidates, len(models.lm.dictionary) - 1)
    found = candidates(models.joint(), prefix, count, window, arguments.num_samples, arguments.seed)
    rows = probabilities(list(progress(found, "candidates", count, arguments.quiet)))
    record = {
        "prefix": arguments.prefix,
        "num_samples": arguments.num_samples,
        "candidates": [_record(row, tokenizer) for row in rows],
        "warnings": doubts,
        "provenance": {**models.provenance(), "seed": arguments.seed},
    }
    if arguments.results_path:
        write_json(record, out)
    from ..reports.next_token import in_text, top_tokens  # noqa: PLC0415 (takes a second)

    if not arguments.quiet:
        print(in_text(top_tokens("next token", record, arguments.top)))
        for doubt in doubts:
            print(f"warning: {doubt}")


def _record(row: NextToken, tokenizer: Tokenizer) -> "dict[str, object]":
    values = dataclasses.asdict(row)
    return {"text": tokenizer.decode([row.candidate.symbol]), **values.pop("candidate"), **values}


def main() -> None:
    run(build_parser(), next_token)


if __name__ == "__main__":
    main()
