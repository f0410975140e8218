"""Choosing within updates that are made, of several batches, or not made at all."""

import numpy as np
import torch

from fairseq_ebm.selection.generic import Generic
from fairseq_ebm.selection.log import Log
from fairseq_ebm.selection.selecting import Selecting, Sizes
from fairseq_ebm.selection.system import System

PADDING, CPU = 1, torch.device("cpu")


def sample(first, count=8):
    tokens = torch.arange(count)[:, None] + torch.arange(4, 9)
    inputs = {"src_tokens": tokens, "src_lengths": torch.full((count,), 5)}
    ids = torch.arange(first, first + count)
    return {"id": ids, "nsentences": count, "ntokens": 5 * count, "target": tokens,
            "net_input": inputs}  # fmt: skip


class Listens(System):
    learns = True

    def __init__(self):
        self.heard = []

    def learn(self, update, landscape, lr):
        self.heard.append(None if update is None else update.random["id"].tolist())
        return {}


def selecting(system, chosen=2):
    log = Log(None, every=1, count=64, labels=None)
    return Selecting(system, Sizes(chosen, 3, 1), None, log, PADDING, 1, CPU), log


def seen(log):
    return set(np.flatnonzero(np.unpackbits(log.state()["seen"].numpy())).tolist())


def test_an_update_that_is_not_made_leaves_nothing():
    """fairseq's fp16 goes on with the next batch, of the same update, when gradients overflow."""
    for parts in (1, 2):
        ours, log = selecting(Generic())
        for part in range(parts):
            ours.choose(sample(8 * part), 0, parts)
        kept = [ours.choose(sample(32 + 8 * part), 0, parts)["id"] for part in range(parts)]
        ours.learn(None, 0.1, 0)
        assert seen(log) == set(torch.cat(kept).tolist())


def test_an_update_cut_short_by_the_end_of_an_epoch():
    ours, log = selecting(Generic())
    ours.choose(sample(0), 0, 2)  # overflows; there is no second batch
    ours.forget()
    kept = [ours.choose(sample(32 + 8 * part), 0, 2)["id"] for part in range(2)]
    ours.learn(None, 0.1, 0)
    assert seen(log) == set(torch.cat(kept).tolist())


def test_parts_of_an_update_are_drawn_apart():
    ours, _ = selecting(Generic())
    rows = [ours.choose(sample(0), update, 2)["id"].tolist() for update in range(4) for _ in "ab"]
    assert len({tuple(each) for each in rows}) > 4
    again, _ = selecting(Generic())
    assert rows[0] == again.choose(sample(0), 0, 2)["id"].tolist()


def test_a_dummy_is_not_learnt_from():
    system = Listens()
    ours, log = selecting(system)
    assert ours.choose(sample(0), 0, dummy=True)["nsentences"] == 2
    ours.learn(None, 0.1, 0)
    assert system.heard == [None] and not seen(log)
    ours.choose(sample(0), 1)
    ours.learn(None, 0.1, 1)
    assert len(system.heard[1]) == 3
