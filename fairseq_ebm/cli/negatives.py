"""fairseq-ebm-negatives: real windows and what a base language model writes in their place."""

import argparse
import errno
import platform
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

import torch

from ..data.identity import token_hashes
from ..data.tokenizers import DICTIONARY_NAME, load_dictionary, load_tokenizer
from ..data.windows import WindowOptions, Windows
from ..errors import UserError
from ..files import sha256_of
from ..lm.checkpoint import BaseLM, load_base_lm
from ..lm.sampler import Sampler, require_truncation
from ..negatives import jsonl as foreign
from ..negatives import store
from ..negatives.filling import Author, BaseLMAuthor, fill
from ..negatives.hugging_face import HuggingFaceAuthor, load_hugging_face
from ..negatives.store import FORMAT_VERSION, Manifest
from ..numerics.drawing import Truncation
from ..version import __version__
from . import processes
from .program import ArgumentParser, progress, run, whole_number

DESCRIPTION = """\
Cuts prepared text into windows, lets a base language model continue the beginning of
each, and writes both to NEG, the store that energies are trained on.

  fairseq-ebm-negatives DATA --path lm.pt --dest NEG
  torchrun --nproc_per_node 8 $(which fairseq-ebm-negatives) DATA --path lm.pt --dest NEG
  fairseq-ebm-negatives --merge NEG          # after shards
  fairseq-ebm-negatives DATA --hf MODEL_DIR --dest NEG   # a Hugging Face model writes them
  fairseq-ebm-negatives --from-jsonl REAL.jsonl FAKE.jsonl --like DATA --dest NEG

May be killed and started again at any time; it goes on where it was.
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fairseq-ebm-negatives", description=DESCRIPTION)
    parser.add_argument("data", nargs="?", metavar="DATA", help="prepared directory")
    parser.add_argument("--path", metavar="LM.pt", help="checkpoint of the base language model")
    parser.add_argument(
        "--hf",
        metavar="MODEL_DIR",
        help="instead of --path: directory of a Hugging Face causal language model and its "
        "tokenizer; such negatives train energies that tell text apart, but give no perplexity",
    )
    parser.add_argument("--dest", metavar="NEG", help="the store to write")
    parser.add_argument("--merge", metavar="NEG", help="join the shards of a store")
    parser.add_argument(
        "--from-jsonl", nargs=2, metavar=("REAL", "FAKE"), help='files of lines {"text": …}'
    )
    parser.add_argument("--like", metavar="DATA", help="the vocabulary for --from-jsonl")
    parser.add_argument(
        "--skip-bad-lines",
        action="store_true",
        help="of --from-jsonl: pass over broken lines and tell how many there were",
    )
    windows = parser.add_argument_group("windows")
    windows.add_argument("--subsets", default="train,valid,test", help="(default: %(default)s)")
    windows.add_argument(
        "--window", type=whole_number(1), default=160, help="tokens (default: 160)"
    )
    windows.add_argument(
        "--stride", type=whole_number(1), default=40, help="between windows (default: 40)"
    )
    windows.add_argument(
        "--prefix-length",
        type=prefix_lengths,
        default=(120,),
        metavar="P[,P2]",
        help="tokens of context, of equal probability where several (default: 120)",
    )
    windows.add_argument("--max-windows", type=whole_number(1), help="of a subset, at random")
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument(
        "--num-negatives", type=whole_number(1), default=16, help="of each window (default: 16)"
    )
    sampling.add_argument("--right-to-left", action="store_true", help="the model reads backwards")
    sampling.add_argument("--sampling-topk", type=whole_number(1), metavar="K")
    sampling.add_argument("--sampling-topp", type=float, metavar="P")
    sampling.add_argument("--temperature", type=float, default=1.0)
    sampling.add_argument("--seed", type=whole_number(0), default=1, help="(default: 1)")
    machine = parser.add_argument_group("machine")
    processes.add_precision_flags(machine)
    processes.add_memory_flag(machine)
    processes.add_shard_flags(machine)
    machine.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def prefix_lengths(text: str) -> Tuple[int, ...]:
    try:
        lengths = tuple(int(part) for part in text.split(","))
    except ValueError:
        lengths = (-1,)
    if min(lengths) < 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a length, or lengths with commas")
    return lengths


def needs(arguments: argparse.Namespace, names: Iterable[str], why: str) -> None:
    for name in names:
        if getattr(arguments, name) is None:
            flag = "DATA" if name == "data" else f"--{name}"
            raise UserError(f"{flag}: needed {why}")


def window_options(arguments: argparse.Namespace, prefix: Tuple[int, ...]) -> WindowOptions:
    return WindowOptions(
        window=arguments.window,
        stride=arguments.stride,
        prefix_lengths=prefix,
        max_windows=arguments.max_windows,
        seed=arguments.seed,
    )


def manifest(
    data: Path, source: Dict[str, Any], options: Dict[str, Any], **libraries: str
) -> Manifest:
    """``libraries``: versions of those that only some sources need."""
    dictionary = data / DICTIONARY_NAME
    return Manifest(
        format_version=FORMAT_VERSION,
        source=source,
        options=options,
        dictionary={"size": len(load_dictionary(dictionary)), "sha256": sha256_of(dictionary)},
        subsets={},
        versions={
            "fairseq_ebm": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            **libraries,
        },
    )


def sample_negatives(arguments: argparse.Namespace) -> None:
    check_flags(arguments)
    data, neg = Path(arguments.data), Path(arguments.dest)
    shard = processes.shard(arguments)
    options = window_options(arguments, arguments.prefix_length)
    subsets = {name: Windows(data, name, options) for name in arguments.subsets.split(",")}
    prepare = hugging_face_author if arguments.hf else base_lm_author
    author, content = prepare(arguments, data)
    store.begin(neg, content, data)

    def bar(blocks: Iterable[int], label: str, done: int, total: int) -> Iterable[int]:
        return progress(blocks, f"{label} (blocks of 64)", total, arguments.quiet, done)

    for name, windows in subsets.items():
        try:
            written = fill(neg, author, windows, arguments.num_negatives, shard, bar)
        except OSError as error:
            raise full_disk(neg, name, error) from None
        tell(arguments, f"{name}: {written:,} windows, {arguments.num_negatives} negatives each")
    if shard[1] > 1:
        tell(arguments, f"shard {shard[0]} of {shard[1]} is whole; after all: --merge {neg}")


def check_flags(arguments: argparse.Namespace) -> None:
    needs(arguments, ("data",), "to generate negatives")
    if not arguments.hf:
        needs(arguments, ("path",), "to generate negatives, or --hf")
    elif arguments.path:
        raise UserError("--hf: --path is given too, and one model writes the negatives; drop one")
    elif arguments.right_to_left:
        raise UserError("--right-to-left: Hugging Face models read left to right; drop it")
    needs(arguments, ("dest",), "to generate negatives")
    if arguments.skip_bad_lines:
        raise UserError("--skip-bad-lines: goes with --from-jsonl alone; drop it")


def base_lm_author(arguments: argparse.Namespace, data: Path) -> Tuple[Author, Manifest]:
    precision = processes.precision(arguments)
    lm = load_base_lm(Path(arguments.path), data, precision, processes.device(arguments))
    check_model(arguments, lm)
    model = {"sha256": lm.sha256, "architecture": lm.architecture}
    source = {"language_model": model, "text": token_hashes(data)}
    sampler = Sampler(lm.model, truncation(arguments), arguments.sampling_memory)
    author = BaseLMAuthor(lm, sampler)
    return author, manifest(data, source, recorded(arguments, precision))


def hugging_face_author(arguments: argparse.Namespace, data: Path) -> Tuple[Author, Manifest]:
    precision = processes.precision(arguments)
    lm = load_hugging_face(Path(arguments.hf), precision, processes.device(arguments))
    author = HuggingFaceAuthor(lm, data, truncation(arguments))
    model = {"sha256": lm.sha256, "architecture": lm.architecture}
    source = {"hugging_face": model, "text": token_hashes(data)}
    options = recorded(arguments, precision)
    return author, manifest(data, source, options, transformers=lm.version)


def truncation(arguments: argparse.Namespace) -> Truncation:
    return Truncation(arguments.sampling_topk, arguments.sampling_topp, arguments.temperature)


def check_model(arguments: argparse.Namespace, lm: BaseLM) -> None:
    if lm.right_to_left != arguments.right_to_left:
        way = "right to left; add" if lm.right_to_left else "left to right; drop"
        raise UserError(f"--path: {arguments.path} was trained {way} --right-to-left")
    if arguments.window > lm.max_positions:
        raise UserError(
            f"--window: {arguments.window} tokens are more than the {lm.max_positions} positions "
            f"of {arguments.path}"
        )
    require_truncation(truncation(arguments), len(lm.dictionary))


def recorded(arguments: argparse.Namespace, precision: str) -> Dict[str, Any]:
    names = ("window", "stride", "prefix_length", "num_negatives", "max_windows", "right_to_left")
    names += ("sampling_topk", "sampling_topp", "temperature", "seed", "sampling_memory")
    options = {name: getattr(arguments, name) for name in names}
    return {**options, "prefix_length": list(arguments.prefix_length), "precision": precision}


def full_disk(neg: Path, subset: str, error: OSError) -> Exception:
    """Says what is safe when there is no more room; other errors stay what they are."""
    if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return error
    whole = ", ".join(store.read_manifest(neg).subsets) or "none yet"
    return UserError(
        f"--dest: {neg}: {error.strerror} while writing {subset}; whole and usable: {whole}. "
        "Make room and run the same command again: it goes on where it was"
    )


def take_from_jsonl(arguments: argparse.Namespace) -> None:
    needs(arguments, ("like", "dest"), "with --from-jsonl")
    data, neg = Path(arguments.like), Path(arguments.dest)
    options = window_options(arguments, (0,))
    tokenizer = load_tokenizer(data)
    files = [Path(name) for name in arguments.from_jsonl]
    cut: List[Dict[str, Any]] = []
    for path in files:
        subsets = arguments.subsets.split(",")
        skip_bad = arguments.skip_bad_lines
        foreign.require_known_texts(path, tokenizer, "--from-jsonl", skip_bad)
        bad: Optional[List[str]] = [] if skip_bad else None
        windows, too_short = foreign.windows_of(path, tokenizer, options, subsets, bad)
        cut.append(windows)
        if bad:
            tell(arguments, f"{path}: {len(bad):,} bad lines passed over; the first: {bad[0]}")
        if too_short:
            tell(arguments, f"{path}: {too_short:,} texts are shorter than a window; left out")
        for subset, found in cut[-1].items():
            if not found:
                raise UserError(f"{path}: no text of {options.window} tokens for {subset}")
    source = {"real": sha256_of(files[0]), "generated": sha256_of(files[1])}
    recorded_options = {name: getattr(arguments, name) for name in ("window", "stride", "seed")}
    store.begin(neg, manifest(data, source, recorded_options), data)
    for subset, real in cut[0].items():
        foreign.fill(neg, subset, real, cut[1][subset], tokenizer, options)
        tell(arguments, f"{subset}: {len(real):,} real and {len(cut[1][subset]):,} generated")


def tell(arguments: argparse.Namespace, line: str) -> None:
    if not arguments.quiet:
        print(line)


def negatives(arguments: argparse.Namespace) -> None:
    if arguments.merge:
        for subset, windows in store.merge(Path(arguments.merge)).items():
            tell(arguments, f"{subset}: {windows:,} windows")
    elif arguments.from_jsonl:
        take_from_jsonl(arguments)
    else:
        sample_negatives(arguments)


def main() -> None:
    run(build_parser(), negatives)


if __name__ == "__main__":
    main()
