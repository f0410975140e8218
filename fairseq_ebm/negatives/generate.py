"""Real windows, and what is written in their place: from options to a store."""

import errno
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ..data.identity import token_hashes
from ..data.tokenizers import DICTIONARY_NAME, load_dictionary, load_tokenizer
from ..data.windows import WindowOptions, Windows
from ..errors import UserError
from ..files import sha256_of
from ..lm.checkpoint import load_base_lm
from ..lm.sampler import Sampler, require_truncation
from ..numerics.drawing import Truncation
from ..options import Record
from ..provenance import versions
from . import jsonl, store
from .filling import Author, BaseLMAuthor, fill
from .hugging_face import HuggingFaceAuthor, load_hugging_face
from .options import Negatives
from .store import FORMAT_VERSION, Manifest

KIND = "negatives"
RECORDED = (
    "window", "stride", "prefix_length", "num_negatives", "max_windows", "right_to_left",
    "sampling_topk", "sampling_topp", "temperature", "seed", "sampling_memory",
)  # fmt: skip


def negatives(options: Negatives) -> Record:
    """What was done: windows and negatives of each subset, or a shard of that."""
    if options.merge is not None:
        sizes = store.merge(options.merge)
        return {"kind": KIND, "subsets": {n: {"windows": size} for n, size in sizes.items()}}
    assert options.dest is not None
    if options.from_jsonl:
        return {"kind": KIND, **_from_jsonl(options, options.dest)}
    assert options.data is not None
    cut = _window_options(options, options.prefix_length)
    windows = {name: Windows(options.data, name, cut) for name in options.subsets.split(",")}
    author, manifest = _author(options, options.data)
    store.begin(options.dest, manifest, options.data)
    subsets: Record = {}
    for name, each in windows.items():
        try:
            written = fill(options.dest, author, each, options.num_negatives, options.shard)
        except OSError as error:
            raise _full_disk(options.dest, name, error) from None
        subsets[name] = {"windows": written, "negatives": options.num_negatives}
    shard, shards = options.shard
    part = {"shard": shard, "shards": shards, "merge": str(options.dest)} if shards > 1 else {}
    return {"kind": KIND, "subsets": subsets, **part}


def _window_options(options: Negatives, prefix_lengths: Tuple[int, ...]) -> WindowOptions:
    names = ("window", "stride", "max_windows", "seed")
    return WindowOptions(prefix_lengths=prefix_lengths, **options.recorded(*names))


def _author(options: Negatives, data: Path) -> Tuple[Author, Manifest]:
    """Who writes, and the manifest of what that gives."""
    top_k, top_p = options.sampling_topk, options.sampling_topp
    truncation = Truncation(top_k, top_p, options.temperature, options.min_p)
    libraries = ["torch"]
    author: Author
    lm: Any
    if options.hf is not None:
        kind, lm = "hugging_face", load_hugging_face(options.hf, options.precision, options.device)
        author = HuggingFaceAuthor(lm, data, truncation)
        libraries.append("transformers")
    else:
        assert options.path is not None
        kind = "language_model"
        lm = load_base_lm(options.path, data, options.precision, options.device)
        if lm.right_to_left != options.right_to_left:
            way = "right to left; add" if lm.right_to_left else "left to right; drop"
            raise UserError(f"--path: {options.path} was trained {way} --right-to-left")
        lm.require_window(options.window)
        require_truncation(truncation, len(lm.dictionary))
        author = BaseLMAuthor(lm, Sampler(lm.model, truncation, options.sampling_memory))
    model = {"sha256": lm.sha256, "architecture": lm.architecture}
    source = {kind: model, "text": token_hashes(data)}
    recorded = {**options.recorded(*RECORDED), "precision": options.precision}
    recorded.update(options.recorded("min_p") if options.min_p is not None else {})
    return author, _manifest(data, source, recorded, libraries)


def _manifest(data: Path, source: Record, recorded: Record, libraries: List[str]) -> Manifest:
    path = data / DICTIONARY_NAME
    dictionary = {"size": len(load_dictionary(path)), "sha256": sha256_of(path)}
    return Manifest(
        FORMAT_VERSION, source, recorded, dictionary, {}, versions("python", *libraries)
    )


def _full_disk(neg: Path, subset: str, error: OSError) -> Exception:
    """Says what is safe when there is no more room; other errors stay what they are."""
    if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return error
    usable = f"complete and usable: {', '.join(store.read_manifest(neg).subsets) or 'none yet'}"
    remedy = "Make room and run the same command again: it resumes where it was"
    return UserError(f"--dest: {neg}: {error.strerror} while writing {subset}; {usable}. {remedy}")


def _from_jsonl(options: Negatives, neg: Path) -> Record:
    assert options.like is not None
    tokenizer = load_tokenizer(options.like)
    windows = _window_options(options, (0,))
    cut: List[Dict[str, Any]] = []
    files: Dict[str, Record] = {}
    for path in options.from_jsonl:
        jsonl.require_known_texts(path, tokenizer, "--from-jsonl", options.skip_bad_lines)
        bad: Optional[List[str]] = [] if options.skip_bad_lines else None
        subsets = options.subsets.split(",")
        of_subset, too_short = jsonl.windows_of(path, tokenizer, windows, subsets, bad)
        for subset, texts in of_subset.items():
            if not texts:
                raise UserError(f"{path}: no text of {windows.window} tokens for {subset}")
        cut.append(of_subset)
        first = bad[0] if bad else None
        counts = {"bad_lines": len(bad or []), "first_bad_line": first, "too_short": too_short}
        files[str(path)] = counts
    source = dict(zip(("real", "generated"), map(sha256_of, options.from_jsonl)))
    recorded = options.recorded("window", "stride", "seed")
    store.begin(neg, _manifest(options.like, source, recorded, ["torch"]), options.like)
    sizes = {}
    for subset, texts in cut[0].items():
        fake = cut[1][subset]
        jsonl.fill(neg, subset, texts, fake, tokenizer, windows)
        sizes[subset] = {"windows": len(texts), "generated": len(fake)}
    return {"subsets": sizes, "files": files}
