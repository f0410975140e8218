"""The negatives' store: real windows and what was generated in their place. See docs/formats.md.

NEG/manifest.json        how it was made: a Manifest
NEG/dict.txt             the dictionary, and the files of a tokenizer where it has one
NEG/{subset}/*.npy       the arrays of a subset that is complete
NEG/{subset}.part/       a subset under way
NEG/{subset}.shard-I-of-N/   shards of a subset, before they are merged
"""

import dataclasses
import shutil
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple, Union

import numpy as np

from ..data.identity import other_text
from ..data.tokenizers import VOCABULARY_FILES
from ..errors import UserError
from ..files import write_whole
from ..numerics.drawing import Truncation
from ..records import read_json, require_version, write_json
from .arrays import Arrays, ArraysWriter, Layout, num_blocks

FORMAT_VERSION = 2
MANIFEST_NAME = "manifest.json"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """``subsets``: the number of windows of each subset that is complete."""

    format_version: int
    source: Dict[str, Any]  # the language model, or the files that text came from
    options: Dict[str, Any]
    dictionary: Dict[str, Any]  # size and sha256
    subsets: Dict[str, int]
    versions: Dict[str, str]

    @property
    def right_to_left(self) -> bool:
        return bool(self.options.get("right_to_left", False))

    @property
    def truncation(self) -> Truncation:
        names = ("sampling_topk", "sampling_topp", "temperature", "min_p")
        top_k, top_p, temperature, min_p = (self.options.get(name) for name in names)
        return Truncation(top_k, top_p, 1.0 if temperature is None else temperature, min_p)

    @property
    def sampler(self) -> str:
        """In words: "top-k 10, temperature 0.9", "untruncated", "Hugging Face model"."""
        if "language_model" in self.source:
            return self.truncation.in_words
        if "hugging_face" not in self.source:
            return "text from elsewhere"
        more = "" if self.truncation.is_none else f", {self.truncation.in_words}"
        return f"Hugging Face model{more}"

    @property
    def is_truncated(self) -> bool:
        """Negatives were not drawn from the base language model's own distribution."""
        return "language_model" not in self.source or not self.truncation.is_none


class Example(NamedTuple):
    """One real window (T,) and its K negatives (K, T), whole windows in the order of the text.

    ``prefix_length`` tokens of context are shared: the first, or right to left the last ones.
    Log-probabilities are of the continuation; NaN for text from elsewhere.
    """

    real: np.ndarray
    negatives: np.ndarray
    prefix_length: int
    real_log_p: float
    log_p: np.ndarray
    log_q: np.ndarray


def layout(window: int, generated: int, negatives: int, vocabulary: int) -> Layout:
    """Arrays of a subset; ``generated`` is the length of the longest generated part."""
    token = "uint16" if vocabulary <= 2**16 else "uint32"
    return {
        "number": ((), "int64"),  # of the window: it starts at token number * stride
        "window": ((window,), token),
        "prefix_length": ((), "uint16"),
        "negatives": ((negatives, generated), token),  # the generated part, then padding
        "real_log_p": ((), "float32"),
        "log_p": ((negatives,), "float32"),
        "log_q": ((negatives,), "float32"),
    }


def read_manifest(neg: Path) -> Manifest:
    path = neg / MANIFEST_NAME
    if not path.exists():
        raise UserError(f"{neg}: not a store of negatives (no {MANIFEST_NAME} in it)")
    return manifest_of(read_json(path), str(path))


def manifest_of(values: Mapping[str, Any], where: str) -> Manifest:
    require_version(values, FORMAT_VERSION, where, "generate the negatives again")
    try:
        return Manifest(**values)
    except TypeError as error:
        raise UserError(f"{where}: altered ({error})") from None


def begin(neg: Path, manifest: Manifest, data: Path) -> Manifest:
    """Creates the store, or finds one begun with the same options; the manifest as it now is.

    Several processes may do so at once, and any may have been killed while it did.
    """
    path = neg / MANIFEST_NAME
    foreign = neg.exists() and any(not p.name.startswith(path.name) for p in neg.iterdir())
    if not path.exists():  # asked after the look around: another process may just have written it
        if foreign:
            problem = "exists and holds something else; choose another directory"
            raise UserError(f"--dest: {neg} {problem}")
        neg.mkdir(parents=True, exist_ok=True)
        write_json(manifest, path)
    existing = read_manifest(neg)
    same = dataclasses.replace(manifest, subsets=existing.subsets)
    if existing != same:
        begun = f"was begun with other {_difference(existing, same)}"
        raise UserError(f"--dest: {neg} {begun}; choose another directory or delete it")
    for name in VOCABULARY_FILES:
        ours, theirs = neg / name, data / name
        if theirs.exists() and not (ours.exists() and ours.read_bytes() == theirs.read_bytes()):
            write_whole(ours, theirs.read_bytes())
    return existing


def _difference(old: Manifest, new: Manifest) -> str:
    """The first option, or part of the manifest, in which two differ."""
    for name in sorted({*old.options, *new.options}):
        before, now = old.options.get(name), new.options.get(name)
        if before != now:
            return f"options ({name.replace('_', '-')} {before}, now {now})"
    other = other_text(old.source.get("text", {}), new.source.get("text", {}))
    if other is not None:
        return f"text: {other}"
    if old.source != new.source:
        return "language model or files"
    return "versions of the software" if old.dictionary == new.dictionary else "dictionary"


def subset_folder(neg: Path, subset: str, shard: int, shards: int) -> Path:
    return neg / (subset if shards == 1 else f"{subset}.shard-{shard}-of-{shards}")


def mark_whole(neg: Path, subset: str, windows: int) -> None:
    """For one process alone; what killed ones left of the manifest is removed."""
    manifest = read_manifest(neg)
    for leftover in neg.glob("*.tmp"):
        leftover.unlink()
    subsets = dict(sorted({**manifest.subsets, subset: windows}.items()))
    write_json(dataclasses.replace(manifest, subsets=subsets), neg / MANIFEST_NAME)


def merge(neg: Path) -> Dict[str, int]:
    """Joins all shards into subsets and removes them; returns the windows of each subset."""
    manifest = read_manifest(neg)
    shards: Dict[str, Dict[Tuple[int, int], Path]] = {}
    for folder in sorted(neg.glob("*.shard-*-of-*")):
        subset, _, rest = folder.name.partition(".shard-")
        if not rest.endswith(".part"):
            index, _, total = rest.partition("-of-")
            shards.setdefault(subset, {})[(int(index), int(total))] = folder
    if not shards and not manifest.subsets:
        raise UserError(f"--merge: {neg} holds no shard that is complete")
    for subset, found in shards.items():
        if subset not in manifest.subsets:  # else a merge was stopped while it removed shards
            folders = _complete(neg, subset, found)
            windows = _join(neg / subset, [Arrays(folder) for folder in folders])
            mark_whole(neg, subset, windows)
        for folder in found.values():
            shutil.rmtree(folder)
    return read_manifest(neg).subsets


def _complete(neg: Path, subset: str, found: Mapping[Tuple[int, int], Path]) -> List[Path]:
    totals = {total for _, total in found}
    if len(totals) > 1:
        raise UserError(f"--merge: {neg} has shards of {subset} from runs of different sizes")
    (total,) = totals
    missing = [i for i in range(total) if (i, total) not in found]
    if missing:
        shards = f"shards {', '.join(map(str, missing))} of {total} of {subset}"
        remedy = f"run them (again) first (--num-shards {total} --shard-id …)"
        raise UserError(f"--merge: {shards} are not complete in {neg}; {remedy}")
    return [found[(i, total)] for i in range(total)]


def _join(folder: Path, shards: Sequence[Arrays]) -> int:
    rows = sum(shard.rows for shard in shards)
    example = shards[0]
    arrays = {n: (example[n].shape[1:], str(example[n].dtype)) for n in example.names}
    with ArraysWriter(folder, arrays, rows) as writer:
        blocks = ((shard, block) for shard in shards for block in range(num_blocks(shard.rows)))
        for i, (shard, block) in enumerate(blocks):
            if i >= writer.done:
                writer.write(shard.block(block))
    return rows


class NegativesSubset:
    """One subset of a store, memory-mapped: ``subset[i]`` is an ``Example``."""

    def __init__(self, neg: Union[str, Path], subset: str) -> None:
        neg = Path(neg)
        self.manifest = read_manifest(neg)
        if subset not in self.manifest.subsets:
            remedy = f"it has {', '.join(self.manifest.subsets) or 'none'}"
            if any(neg.glob(f"{subset}.shard-*")):
                remedy = f"fairseq-ebm negatives --merge {neg}"
            elif (neg / f"{subset}.part").exists():
                remedy = "run fairseq-ebm negatives again to finish it"
            raise UserError(f"{neg}: the subset {subset} is not complete; {remedy}")
        self._arrays, size = Arrays(neg / subset), self.manifest.subsets[subset]
        if len(self) != size:
            problem = f"holds {len(self)} windows, but the manifest says {size}"
            raise UserError(f"{neg / subset}: {problem}")

    def __len__(self) -> int:
        return self._arrays.rows

    @property
    def window(self) -> int:
        """Tokens of a window."""
        return int(self._arrays["window"].shape[1])

    @property
    def num_negatives(self) -> int:
        return int(self._arrays["negatives"].shape[1])

    @property
    def numbers(self) -> np.ndarray:
        """Of its windows, in their order: one starts at token number * stride of its text."""
        return np.asarray(self._arrays["number"])

    def real(self, i: int) -> np.ndarray:
        return np.asarray(self._arrays.row(i)["window"])

    def __getitem__(self, i: int) -> Example:
        row = self._arrays.row(i)
        prefix_length = int(row["prefix_length"])
        real = row["window"].astype(np.int64)
        generated = row["negatives"][:, : len(real) - prefix_length].astype(np.int64)
        negatives = np.repeat(real[None], len(generated), axis=0)
        start = 0 if self.manifest.right_to_left else prefix_length
        negatives[:, start : start + generated.shape[1]] = generated
        log_p = float(row["real_log_p"]), row["log_p"], row["log_q"]
        return Example(real, negatives, prefix_length, *log_p)
