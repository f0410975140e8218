"""Prompts, as the programs of fairseq that generate want them."""

from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import torch
from fairseq.data import FairseqDataset, data_utils
from torch import Tensor

from ..data.tokenizers import DICTIONARY_NAME, load_dictionary
from ..data.windows import WindowOptions, Windows
from ..errors import UserError
from .generation_config import JointGenerationConfig


class PromptDataset(FairseqDataset):
    """Prompts, and for windows of a text what really follows, as fairseq's programs want them."""

    def __init__(
        self, ids: List[int], prompts: List[Tensor], texts: Optional[List[Tensor]], pad: int
    ) -> None:
        self.ids, self.prompts, self.texts, self.pad = ids, prompts, texts, pad

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, index: int) -> int:
        return int(index)

    def collater(self, samples: List[int]) -> Dict[str, Any]:
        if not samples:
            return {}
        prompts, texts = [self.prompts[i] for i in samples], self.texts
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        return {
            "id": torch.tensor([self.ids[i] for i in samples]),
            "net_input": {"src_tokens": self._padded(prompts), "src_lengths": lengths},
            "target": None if texts is None else self._padded([texts[i] for i in samples]),
        }

    def _padded(self, rows: List[Tensor]) -> Tensor:
        if not any(len(row) for row in rows):
            return torch.zeros(len(rows), 0, dtype=torch.long)
        return data_utils.collate_tokens(rows, self.pad)

    def size(self, index: int) -> int:
        return len(self.prompts[index])

    num_tokens = size

    def ordered_indices(self) -> np.ndarray:
        return np.arange(len(self))

    def batch_by_size(self, indices: np.ndarray, **limits: Any) -> List[np.ndarray]:
        """All of them: with a multiple, 8 by default, fairseq drops a last batch that is none."""
        return super().batch_by_size(indices, **{**limits, "required_batch_size_multiple": 1})

    def filter_indices_by_size(self, indices: np.ndarray, max_sizes: Any) -> Any:
        """A prompt is never too long: of a long one the models see the end."""
        return indices, []


def prompts_of_windows(
    cfg: JointGenerationConfig, data: Path, subset: str, window: int
) -> PromptDataset:
    """The beginnings of the windows of a split; of these, a shard takes every so many."""
    stride = window if cfg.stride is None else cfg.stride
    size, seed = cfg.prefix_size, cfg.generation_seed
    for value, least, flag in (
        (stride, 1, "--stride"),
        (cfg.max_windows, 1, "--max-windows"),
        (size, 0, "--prefix-size"),
    ):
        if value is not None and value < least:
            raise UserError(f"{flag}: {value} is below {least}")
    if size >= window:
        raise UserError(f"--prefix-size: {size} tokens fill the window of {window} (--window)")
    if not 0 <= cfg.shard_id < cfg.num_shards:
        raise UserError(f"--shard-id: {cfg.shard_id} is not one of {cfg.num_shards} (--num-shards)")
    windows = Windows(data, subset, WindowOptions(window, stride, (size,), cfg.max_windows, seed))
    chosen = range(cfg.shard_id, len(windows), cfg.num_shards)
    if not chosen:
        raise UserError(f"--num-shards: {cfg.num_shards} shards of {len(windows)} windows")
    texts = [torch.tensor(windows.tokens(i), dtype=torch.long) for i in chosen]
    ids = [int(windows.numbers[i]) for i in chosen]
    padding = load_dictionary(data / DICTIONARY_NAME).pad()
    return PromptDataset(ids, [text[:size] for text in texts], texts, padding)
