"""Reversed blocks: source and target match, and the source begins with </s>."""

import torch
from fairseq.data import Dictionary, MonolingualDataset, TokenBlockDataset

from fairseq_ebm.data.right_to_left import RightToLeftBlocks

EOS, PAD = 2, 1
DOCUMENTS = [torch.tensor([5, 6, 7, EOS]), torch.tensor([8, 9, EOS]), torch.tensor([10, EOS])]


def blocks(break_mode, size=5):
    sizes = [len(document) for document in DOCUMENTS]
    plain = TokenBlockDataset(
        DOCUMENTS, sizes, size, PAD, EOS, break_mode=break_mode, include_targets=True
    )
    return RightToLeftBlocks(plain, Dictionary(), whole_documents=break_mode == "eos")


def test_running_text():
    items = [[part.tolist() for part in item] for item in blocks("none")]
    assert items == [
        [[EOS, 8, EOS, 7, 6], [8, EOS, 7, 6, 5], [PAD, EOS, 8, EOS, 7]],
        [[EOS, EOS, 10, EOS], [EOS, 10, EOS, 9], [PAD, EOS, EOS, 10]],
    ]


def test_whole_documents():
    source, target, _ = blocks("eos")[1]
    assert source.tolist() == [EOS, 9, 8] and target.tolist() == [9, 8, EOS]


def test_works_in_fairseqs_monolingual_dataset():
    data = blocks("none")
    dataset = MonolingualDataset(data, data.sizes, Dictionary(), targets=["future"])
    batch = dataset.collater([dataset[0], dataset[1]])
    assert batch["net_input"]["src_tokens"].tolist()[0] == [EOS, 8, EOS, 7, 6]
    assert batch["target"].tolist()[1] == [EOS, 10, EOS, 9, PAD]
