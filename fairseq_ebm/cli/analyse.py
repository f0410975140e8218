"""fairseq-ebm-analyse: repetition and densities of what was generated."""

import argparse
from pathlib import Path
from typing import Any, Dict

from ..errors import UserError
from ..joint.densities import densities
from ..joint.pools import read_generations
from ..joint.repetition import unique_ngrams
from ..records import write_json
from .program import ArgumentParser, progress, run

DESCRIPTION = """\
Real text, the language model's and the joint model's beside each other: how many of
their n-grams are distinct, and how much likelier each model finds its own text (not of
truncated proposals, such as those of top-k, which do not tell Z).

  fairseq-generate DATA --user-dir fairseq_ebm --task residual_ebm_lm … \\
      --joint-results-path POOLS.jsonl
  fairseq-ebm-analyse POOLS.jsonl --results-path OUT.json --draw
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-analyse", description=DESCRIPTION)
    parser.add_argument(
        "pools", nargs="+", metavar="POOLS.jsonl", help="prompts with their pools; shards together"
    )
    parser.add_argument("--results-path", metavar="OUT.json", help="write the report there")
    parser.add_argument(
        "--draw",
        action="store_true",
        help="draw OUT.ngrams.svg and, with densities, OUT.densities.svg",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def analyse(arguments: argparse.Namespace) -> None:
    if arguments.draw and not arguments.results_path:
        raise UserError("--results-path: needed with --draw")
    if arguments.results_path:
        Path(arguments.results_path).parent.mkdir(parents=True, exist_ok=True)
    found = (each for path in arguments.pools for each in read_generations(Path(path)))
    generations = list(progress(found, "prompts", None, arguments.quiet))
    if not generations:
        raise UserError(f"{arguments.pools[0]}: there is nothing in it")
    report = {
        "num_prompts": len(generations),
        "unique_ngrams": unique_ngrams(generations),
        "densities": densities(generations),
    }
    if arguments.results_path:
        write_json(report, Path(arguments.results_path))
    if not arguments.quiet:
        print(table(report))
    if arguments.draw:
        from ..reports.generation import draw  # noqa: PLC0415 (takes a second)

        for picture in draw(report, Path(arguments.results_path)):
            if not arguments.quiet:
                print(f"drawn: {picture}")


def table(report: Dict[str, Any]) -> str:
    lines = [f"{'distinct n-grams':<22}{'real':>8}{'base LM':>9}{'joint':>8}"]
    lines += [
        f"{row['n']}-grams{'':<15}{row['real']:>8.2%}{row['base']:>9.2%}{row['joint']:>8.2%}"
        for row in report["unique_ngrams"]
    ]
    if report["densities"] is None:
        lines.append("no densities: proposals were truncated, and Z is not known")
        return "\n".join([*lines, f"{report['num_prompts']:,} prompts"])
    lines.append("mean log P of a model's own text - of real text, in nats")
    for name, words in (("base", "base LM"), ("joint", "joint model")):
        values = report["densities"][name]
        error = values["standard_error"]
        spread = "" if error is None else f" (standard error {error:.2f})"
        lines.append(f"  {words:<20}{values['difference']:>8.2f}{spread}")
    return "\n".join([*lines, f"{report['num_prompts']:,} prompts"])


def main() -> None:
    run(build_parser(), analyse)


if __name__ == "__main__":
    main()
