"""Blocks of text read from right to left."""

from typing import Tuple

import torch
from fairseq.data import BaseWrapperDataset, Dictionary, TokenBlockDataset
from torch import Tensor


class RightToLeftBlocks(BaseWrapperDataset):
    """A ``TokenBlockDataset`` with targets, each block reversed.

    An item is (source, target, past target), as fairseq's ``MonolingualDataset`` expects. A
    reversed block starts from </s>, like a reversed window that is sampled or scored: the text to
    its right is not seen. With ``whole_documents``, a document's </s> stays at its end.
    """

    def __init__(
        self, dataset: TokenBlockDataset, dictionary: Dictionary, whole_documents: bool = False
    ) -> None:
        super().__init__(dataset)
        self._eos, self._pad = dictionary.eos(), dictionary.pad()
        self._whole_documents = whole_documents

    def __getitem__(self, index: int) -> Tuple[Tensor, Tensor, Tensor]:
        _, block, _ = self.dataset[index]
        target = block.flip(0)
        if self._whole_documents:
            target = target.roll(-1)  # </s> was last and is now first
        source = torch.cat([target.new_tensor([self._eos]), target[:-1]])
        past_target = torch.cat([target.new_tensor([self._pad]), source[:-1]])
        return source, target, past_target
