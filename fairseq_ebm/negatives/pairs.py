"""Real windows beside what was generated in their place: the batches that energies train on."""

from collections.abc import Callable
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
import torch
from fairseq.data import FairseqDataset
from torch.nn.utils.rnn import pad_sequence

from ..data.streams import philox
from ..errors import UserError
from .store import NegativesSubset

ORDER = -1  # the stream of an epoch's order; those of windows are their places


class Pairs(FairseqDataset):
    """The union of several stores' subsets, mixed.

    Each item is a real window and ``negatives`` of its generated ones, drawn without replacement
    by (seed, epoch, index): resumed training meets what it would have met. With None, all of them
    (as many as every store has). For validation they are neither shuffled nor drawn again.
    """

    def __init__(
        self,
        subsets: Sequence[NegativesSubset],
        padding: int,
        negatives: Optional[int] = 1,
        seed: int = 1,
        training: bool = True,
        read: Optional[Callable[[torch.Tensor], torch.Tensor]] = None,
    ) -> None:
        super().__init__()
        self._read = read
        self.subsets, self.padding = list(subsets), padding
        self.seed, self.training, self.epoch = seed, training, 0
        held = min(subset.num_negatives for subset in self.subsets)
        if negatives is not None and not 0 < negatives <= held:
            generated = f"{held} were generated for each window"
            raise UserError(f"--negatives-per-positive: {negatives}, but {generated}")
        self.negatives = held if negatives is None else negatives
        lengths = [len(subset) for subset in self.subsets]
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self.sizes = np.repeat([subset.window for subset in self.subsets], lengths)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Dict[str, Any]:
        which = int(np.searchsorted(self._starts, index, side="right")) - 1
        subset = self.subsets[which]
        example = subset[index - int(self._starts[which])]
        chosen = self._choose(index, len(example.negatives))
        windows = np.concatenate([example.real[None], example.negatives[chosen]])
        return {
            "id": index,
            "windows": torch.from_numpy(windows),  # (1 + K, T), the real one first
            "shared": 0 if subset.manifest.right_to_left else example.prefix_length,
        }

    def _choose(self, index: int, held: int) -> np.ndarray:
        if self.negatives == held:
            return np.arange(held)
        return self._random(index).choice(held, self.negatives, replace=False)

    def _random(self, stream: int) -> np.random.Generator:
        """Of this seed and epoch; each window has a stream of its own."""
        return philox((self.seed % 2**32) << 32 | self.epoch % 2**32, stream)

    def collater(self, samples: List[Dict[str, Any]]) -> Dict[str, Any]:
        """``windows`` (B, 1 + K, T), padded at the end; all in a row agree in ``shared`` tokens.
        ``read``: what an energy that ``reads_ahead`` makes of them, row by row."""
        if not samples:
            return {}
        windows, shared = [s["windows"] for s in samples], min(s["shared"] for s in samples)
        by_position = [w.T for w in windows]  # (T, 1 + K): the first dimension is padded
        batch = pad_sequence(by_position, batch_first=True, padding_value=self.padding)
        net_input = {"windows": batch.transpose(1, 2).contiguous(), "shared": shared}
        if self._read is not None:
            net_input["read"] = self._read(net_input["windows"].flatten(0, 1))
        return {
            "id": torch.tensor([sample["id"] for sample in samples]),
            "nsentences": len(samples),
            "ntokens": sum(w.numel() for w in windows),
            "net_input": net_input,
        }

    def size(self, index: int) -> int:
        return int(self.sizes[index])

    def num_tokens(self, index: int) -> int:
        return self.size(index) * (1 + self.negatives)

    def num_tokens_vec(self, indices: Union[np.ndarray, slice]) -> np.ndarray:
        return self.sizes[indices] * (1 + self.negatives)

    def ordered_indices(self) -> np.ndarray:
        """In training another order in each epoch; numpy's own state, which fairseq seeds in
        different ways, has no part in it."""
        return self._random(ORDER).permutation(len(self)) if self.training else np.arange(len(self))

    def batch_by_size(
        self,
        indices: np.ndarray,
        max_tokens: Optional[int] = None,
        max_sentences: Optional[int] = None,
        required_batch_size_multiple: int = 1,
    ) -> List[np.ndarray]:
        """With a multiple, 8 by default, fairseq drops a last batch that is none. In training,
        others are dropped in the next epoch; in validation they would never count."""
        multiple = required_batch_size_multiple if self.training else 1
        return super().batch_by_size(indices, max_tokens, max_sentences, multiple)

    @property
    def can_reuse_epoch_itr_across_epochs(self) -> bool:
        return not self.training  # windows that stood in a batch together should not do so again

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch if self.training else 0
