"""Examples are fairseq's own blocks; parts of batches; where text comes from."""

import json

import numpy as np
import pytest
import torch

from fairseq_ebm.data.tokenizers import load_tokenizer
from fairseq_ebm.errors import UserError
from fairseq_ebm.selection.blocks import (
    Drawn,
    InAnyOrder,
    identity,
    in_words,
    load_blocks,
    some_of,
    sources_of,
)
from tests.selection.mixture import GENERIC, NARROW, RIGHT
from tests.selection.test_scores import HERE

CPU = torch.device("cpu")


def test_documents_are_blocks_and_text_again(mixture):
    blocks, tokenizer = load_blocks(mixture[0], "train", HERE), load_tokenizer(mixture[0])
    assert len(blocks) == GENERIC + RIGHT
    lines = (mixture[0].parent / "wide.txt").read_text().splitlines()
    words = in_words(blocks.vocab, tokenizer, blocks[3]["target"])
    assert words.rstrip("\n") == lines[3]


@pytest.mark.parametrize("break_mode", ["eos", "none"])
def test_sources_are_where_blocks_begin(mixture, break_mode):
    cut = {**HERE, "sample_break_mode": break_mode, "tokens_per_sample": 48}
    blocks, tokenizer = load_blocks(mixture[0], "train", cut), load_tokenizer(mixture[0])
    names, labels = sources_of(mixture[0], "train", blocks)
    assert names == ["wide", "right"] and len(labels) == len(blocks)
    for row in (0, 50, len(blocks) - 2):
        said = in_words(blocks.vocab, tokenizer, blocks[row]["target"]).split()[1:-1]
        assert labels[row] == any(word in NARROW for word in said)
    assert sources_of(mixture[1], "train", load_blocks(mixture[1], "train", cut)) is None


def test_a_part_is_no_wider_than_its_longest(mixture):
    blocks = load_blocks(mixture[0], "train", HERE)
    order = np.argsort(blocks.sizes)
    rows = [*order[:3], order[-1]]
    batch = blocks.collater([blocks[int(row)] for row in rows])
    part = some_of(batch, torch.tensor([0, 2]), padding=1)
    alone = blocks.collater([blocks[int(rows[0])], blocks[int(rows[2])]])
    for name in ("id", "target"):
        assert torch.equal(part[name], alone[name])
    for name in ("src_tokens", "src_lengths"):
        assert torch.equal(part["net_input"][name], alone["net_input"][name])
    assert (part["nsentences"], part["ntokens"]) == (2, alone["ntokens"])
    assert part["target"].is_contiguous()
    assert some_of(batch, torch.arange(4), padding=1) is batch


def test_batches_are_drawn_by_update_and_process(mixture):
    blocks = load_blocks(mixture[1], "train", HERE)
    drawn = Drawn(blocks, 8, seed=1, longest=64)
    one, again = (drawn.batch(5, 0, CPU)["id"] for _ in range(2))
    assert torch.equal(one, again) and len(one.unique()) == 8
    others = [drawn.batch(6, 0, CPU), drawn.batch(5, 1, CPU)]
    others.append(Drawn(blocks, 8, seed=2, longest=64).batch(5, 0, CPU))
    assert not any(torch.equal(one, other["id"]) for other in others)
    seen = torch.cat([drawn.batch(update, 0, CPU)["id"] for update in range(100)])
    assert len(seen.unique()) == 60


def test_too_long_ones_are_left_out(mixture):
    blocks = load_blocks(mixture[1], "train", HERE)
    longest = int(np.median(blocks.sizes))
    drawn = Drawn(blocks, 1000, seed=1, longest=longest)
    assert len(drawn.batch(0, 0, CPU)["id"]) == (blocks.sizes <= longest).sum()
    with pytest.raises(UserError, match="no example of at most 2 tokens"):
        Drawn(blocks, 8, seed=1, longest=2)


def test_any_order_is_not_by_length(mixture):
    blocks = load_blocks(mixture[0], "train", HERE)
    np.random.seed(0)
    sizes = blocks.sizes[InAnyOrder(blocks).ordered_indices()]
    assert sorted(sizes) == sorted(blocks.sizes) and list(sizes) != sorted(sizes)
    parts = [part.mean() for part in np.array_split(sizes, 5)]
    assert max(parts) < 1.5 * min(parts)


def test_identity_is_of_text_and_cut(mixture):
    one = identity(mixture[0], "train", HERE)
    assert one == json.loads(json.dumps(one))
    assert one != identity(mixture[1], "train", HERE)
    assert one != identity(mixture[0], "train", {**HERE, "tokens_per_sample": 32})
    assert identity(mixture[0], "train", {"sample_break_mode": None})["sample_break_mode"] == "none"


def test_no_such_split(mixture):
    with pytest.raises(UserError, match="has no split other"):
        load_blocks(mixture[0], "other", HERE)
