"""Scores of all examples of a generic text, on disk.

    scores.npy    s, float32 (N,): higher is better; in the order of fairseq's blocks
    scores.json   what they are of, and by what

While they are made there is a part for each shard, NaN where nothing is done yet.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np
import torch
from fairseq import utils
from torch import Tensor

from ..data.tokenizers import load_tokenizer
from ..errors import UserError
from ..lm.checkpoint import load_base_lm
from ..lm.directional import losses_by_example
from ..models.checkpoint import load_energy
from ..options import Record
from ..progress import progress
from ..provenance import versions
from ..records import read_json, require_version, write_json
from .blocks import Sample, identity, in_words, load_blocks, sources_of, texts_of
from .options import SelectionScores
from .weighting import load_weighting

KIND, FORMAT_VERSION = "selection_scores", 1
NAME, VALUES = "scores.json", "scores.npy"
AT_ONCE = 64  # examples: the same however the work is divided
SHOWN, BEST = 10, 0.1

Score = Callable[[Sample], Tensor]


def selection_scores(options: SelectionScores) -> Record:
    """The record of all scores, or of a shard, which part it is."""
    if options.merge is not None:
        return _join(options.merge, options.data)
    assert options.dest is not None
    shard, shards = options.shard
    dataset = load_blocks(options.data, options.split, options.cut)
    score, by, positions = _scorer(options)
    about: Record = {"of": identity(options.data, options.split, options.cut), "by": by}
    about["precision"] = options.precision
    longest = int(dataset.sizes.max())
    if longest > positions:
        remedy = "use --shorten-method truncate" if longest > options.tokens_per_sample else ""
        what = f"an example has {longest} tokens, but the model reads {positions}"
        raise UserError(f"{options.data}: {what}" + f"; {remedy}" * bool(remedy))
    options.dest.mkdir(parents=True, exist_ok=True)
    values = _open_part(options.dest, about, shard, shards, len(dataset))
    chunks = range(0, len(dataset), AT_ONCE)[shard::shards]
    todo = [start for start in chunks if np.isnan(values[start])]
    for start in progress(todo, "scoring", len(chunks), len(chunks) - len(todo)):
        rows = range(start, min(start + AT_ONCE, len(dataset)))
        found = score(dataset.collater([dataset[row] for row in rows])).float().cpu().numpy()
        if not np.isfinite(found).all():
            bad = start + int(np.flatnonzero(~np.isfinite(found))[0])
            raise UserError(f"{options.data}: the score of example {bad} is not finite")
        values[start : start + AT_ONCE] = found
    values.flush()
    if shards > 1:
        return {"kind": "shard", "shard": shard, "shards": shards, "merge": str(options.dest),
                "complete": True}  # fmt: skip
    return _join(options.dest, options.data)


def _scorer(options: SelectionScores) -> Tuple[Score, Dict[str, str], int]:
    """Batches -> s, the hashes of what computes them, and how many tokens that reads."""
    data, device = options.data, options.device

    def placed(sample: Sample) -> Sample:
        return sample if device.type == "cpu" else utils.move_to_cuda(sample, device)

    if options.before is not None and options.after is not None:
        paths = {"before": options.before, "after": options.after}
        lms = {
            name: load_base_lm(path, data, options.precision, device, f"--{name}")
            for name, path in paths.items()
        }
        padding = lms["before"].dictionary.pad()

        @torch.inference_mode()
        def falls(sample: Sample) -> Tensor:
            """By how much the loss of each example does."""
            before, after = (losses_by_example(lm.model, placed(sample), padding)
                             for lm in lms.values())  # fmt: skip
            return before - after

        positions = min(lm.max_positions for lm in lms.values())
        return falls, {name: lm.sha256 for name, lm in lms.items()}, positions
    if options.energy is not None:
        energy = load_energy(options.energy, data, options.precision, device, "--energy")
        model, by = energy.model, {"energy": energy.sha256}
    else:
        assert options.weighting is not None
        model, by = load_weighting(options.weighting, data, device)

    @torch.inference_mode()
    def real(sample: Sample) -> Tensor:
        return -model.energy(texts_of(placed(sample)))

    return real, by, model.max_positions()


def _part(dest: Path, shard: int, shards: int) -> Path:
    return dest / f"scores.shard-{shard}-of-{shards}.npy"


def _open_part(dest: Path, about: Record, shard: int, shards: int, count: int) -> np.memmap:
    """The values of a shard, and what an earlier run has made of them."""
    path = _part(dest, shard, shards)
    told = path.with_suffix(".json")
    if path.exists() and told.exists():
        if read_json(told) != about:
            problem = "begun with other text, models or cuts"
            raise UserError(f"{path}: was {problem}; choose another --dest or delete it")
        return np.lib.format.open_memmap(path, mode="r+")
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(count,))
    values[:] = np.nan
    values.flush()
    write_json(about, told)
    return values


def _parts(dest: Path) -> List[Path]:
    found = sorted(dest.glob("scores.shard-*-of-*.npy"))
    totals = {int(path.stem.rsplit("-of-", 1)[1]) for path in found}
    if len(totals) != 1:
        what = "no shards" if not totals else "shards of runs of different sizes"
        raise UserError(f"--merge: {dest}: {what}")
    (shards,) = totals
    for shard in range(shards):
        if not _part(dest, shard, shards).exists():
            flags = f"--num-shards {shards} --shard-id {shard}"
            raise UserError(f"--merge: {dest}: shard {shard} of {shards} is missing ({flags})")
    return [_part(dest, shard, shards) for shard in range(shards)]


def _join(dest: Path, data: Path) -> Record:
    paths = _parts(dest)
    abouts = [read_json(path.with_suffix(".json")) for path in paths]
    if any(about != abouts[0] for about in abouts):
        raise UserError(f"--merge: {dest}: its shards are of different text or models")
    of = abouts[0]["of"]
    _require_same(of, identity(data, of["split"], of), f"--merge: {dest}")
    parts = [np.load(path) for path in paths]
    values = parts[0]
    for part in parts[1:]:
        values = np.where(np.isnan(values), part, values)
    if np.isnan(values).any():
        shard = int(np.flatnonzero(np.isnan(values))[0]) // AT_ONCE % len(paths)
        raise UserError(f"--merge: {dest}: shard {shard} is not complete; run it again")
    record = {"kind": KIND, "format_version": FORMAT_VERSION, **abouts[0],
              **_summary(values, data, of), "versions": versions("torch")}  # fmt: skip
    with (dest / f"{VALUES}.tmp").open("wb") as file:
        np.save(file, values)
    (dest / f"{VALUES}.tmp").replace(dest / VALUES)
    write_json(record, dest / NAME)
    for path in paths:
        path.unlink()
        path.with_suffix(".json").unlink()
    return {"dest": str(dest), **record}


def _summary(values: np.ndarray, data: Path, of: Mapping[str, Any]) -> Record:
    """What the scores are like, where the best come from, and the ends as text."""
    dataset = load_blocks(data, of["split"], of)
    order = np.argsort(-values, kind="stable")
    tokenizer = load_tokenizer(data)

    def shown(rows: np.ndarray) -> List[Record]:
        texts = (in_words(dataset.vocab, tokenizer, dataset[int(row)]["target"]) for row in rows)
        return [{"score": float(values[row]), "text": text} for row, text in zip(rows, texts)]

    quantiles = np.quantile(values, [0.05, 0.5, 0.95])
    found: Record = {"examples": len(values), "mean": float(values.mean())}
    found.update(zip(("low", "median", "high"), map(float, quantiles)))
    sources = sources_of(data, of["split"], dataset)
    if sources is not None:
        names, labels = sources
        best = labels[order[: max(1, int(BEST * len(values)))]]
        found["sources"] = {
            name: {"share": float((labels == i).mean()), "of_best": float((best == i).mean())}
            for i, name in enumerate(names)
        }
    return {**found, "highest": shown(order[:SHOWN]), "lowest": shown(order[::-1][:SHOWN])}


def read_scores(
    path: Path, data: Path, split: str, cut: Mapping[str, Any], flag: str = "--selection-scores"
) -> np.ndarray:
    """s (N,), which must be of the examples that ``split`` of ``data`` is cut into."""
    if not (path / NAME).exists():
        raise UserError(f"{flag}: {path}: no scores there (no {NAME})")
    record = read_json(path / NAME)
    require_version(record, FORMAT_VERSION, path / NAME, "score again")
    _require_same(record["of"], identity(data, split, cut), f"{flag}: {path}")
    return np.load(path / VALUES, mmap_mode="r")


def _require_same(was: Mapping[str, Any], now: Mapping[str, Any], where: str) -> None:
    for name, value in now.items():
        if was.get(name) != value:
            found = f"{name.replace('_', ' ')} {was.get(name)}, here {value}"
            raise UserError(f"{where}: of other examples ({found})")
