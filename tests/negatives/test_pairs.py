from collections import Counter

import numpy as np
import pytest
import torch
from fairseq.tasks import FairseqTask

from fairseq_ebm.errors import UserError
from fairseq_ebm.negatives.pairs import Pairs
from fairseq_ebm.negatives.store import NegativesSubset
from tests.stores import random_store

PAD = 1


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    make = {
        "a": {"count": 20, "negatives": 6},
        "b": {"count": 10, "negatives": 4, "prefix_length": 5, "seed": 2},
        "short": {"count": 10, "negatives": 4, "window": 12, "seed": 3},
        "backward": {"count": 10, "negatives": 4, "right_to_left": True, "seed": 4},
    }
    for name, options in make.items():
        random_store(folder / name, **options)
    return {name: NegativesSubset(folder / name, "train") for name in make}


def test_a_pair_is_a_real_window_and_one_of_its_negatives(stores):
    pairs, store = Pairs([stores["a"]], PAD), stores["a"]
    for i in range(len(pairs)):
        item = pairs[i]
        assert item["windows"].shape == (2, 16) and item["shared"] == 8
        assert np.array_equal(item["windows"][0], store[i].real)
        assert any(np.array_equal(item["windows"][1], negative) for negative in store[i].negatives)


def test_which_negative_depends_on_seed_epoch_and_index_alone(stores):
    def drawn(seed, epoch):
        pairs = Pairs([stores["a"]], PAD, seed=seed)
        pairs.set_epoch(epoch)
        return torch.stack([pairs[i]["windows"] for i in reversed(range(20))])

    assert torch.equal(drawn(1, 2), drawn(1, 2))
    assert not torch.equal(drawn(1, 2), drawn(1, 3))
    assert not torch.equal(drawn(1, 2), drawn(2, 2))


def test_every_negative_is_as_likely(stores):
    store, pairs = stores["a"], Pairs([stores["a"]], PAD)
    counts = Counter()
    for epoch in range(300):
        pairs.set_epoch(epoch)
        for i in range(4):
            window = pairs[i]["windows"][1].numpy()
            counts[int(np.flatnonzero((store[i].negatives == window).all(axis=1))[0])] += 1
    expected = 300 * 4 / 6
    assert sum((counts[j] - expected) ** 2 / expected for j in range(6)) < 20.5  # p = 0.001


def test_several_negatives_are_different_ones(stores):
    pairs = Pairs([stores["a"]], PAD, negatives=4)
    for i in range(20):
        assert len({tuple(w.tolist()) for w in pairs[i]["windows"][1:]}) == 4
    assert pairs.num_tokens(0) == 5 * 16 and pairs.num_tokens_vec(np.array([0, 1])).sum() == 160


def test_validation_is_always_the_same(stores):
    pairs = Pairs([stores["a"]], PAD, training=False)
    before = torch.stack([pairs[i]["windows"] for i in range(20)])
    pairs.set_epoch(7)
    assert torch.equal(before, torch.stack([pairs[i]["windows"] for i in range(20)]))
    assert list(pairs.ordered_indices()) == list(range(20))
    assert pairs.can_reuse_epoch_itr_across_epochs


def test_a_union_is_mixed_anew_at_each_epoch(stores):
    pairs = Pairs([stores["a"], stores["b"]], PAD)
    assert len(pairs) == 30 and np.array_equal(pairs[25]["windows"][0], stores["b"][5].real)
    orders = [fairseqs_order(pairs, epoch) for epoch in (1, 2)]
    assert sorted(orders[0]) == list(range(30)) and orders[0] != orders[1]
    assert 0 < sum(i >= 20 for i in orders[0][:15]) < 10
    assert not pairs.can_reuse_epoch_itr_across_epochs


def fairseqs_order(pairs, epoch, seed=1):
    """Windows in the order in which fairseq's trainer puts them into batches."""
    batches = (
        FairseqTask(None)
        .get_batch_iterator(
            pairs, max_sentences=5, seed=seed, epoch=epoch, disable_iterator_cache=True
        )
        .frozen_batches
    )
    return [int(i) for batch in batches for i in batch]


def test_the_order_is_the_data_sets_own(stores):
    """Whatever numpy, which fairseq seeds in different ways, would have drawn."""
    pairs = Pairs([stores["a"]], PAD)
    first = fairseqs_order(pairs, 3)
    assert fairseqs_order(pairs, 3, seed=77) == first != fairseqs_order(pairs, 4)
    assert fairseqs_order(Pairs([stores["a"]], PAD, seed=2), 3) != first


@pytest.mark.parametrize("seed", [1, 2**31, 2**32 - 1])
def test_every_seed_draws_anew_at_each_epoch(stores, seed):
    pairs = Pairs([stores["a"]], PAD, seed=seed)
    draws, orders = [], set()
    for epoch in range(1, 6):
        pairs.set_epoch(epoch)
        draws.append(torch.stack([pairs[i]["windows"][1] for i in range(20)]))
        orders.add(tuple(pairs.ordered_indices()))
    assert len(orders) == 5
    for before, after in zip(draws, draws[1:]):
        assert 10 <= int((before != after).any(dim=1).sum()) <= 20


def test_workers_hear_of_every_epoch(stores):
    """Those of fairseq's masked_lm do not: they outlive it."""
    pairs, task, epochs = Pairs([stores["a"]], PAD), FairseqTask(None), (1, 2, 3)
    found = []
    for epoch in epochs:
        iterator = task.get_batch_iterator(pairs, max_sentences=5, epoch=epoch, num_workers=1)
        batches = list(iterator.next_epoch_itr(shuffle=False))
        rows = {int(i): w for b in batches for i, w in zip(b["id"], b["net_input"]["windows"])}
        found.append(rows)
    for rows, epoch in zip(found, epochs):
        pairs.set_epoch(epoch)
        assert all(torch.equal(window, pairs[i]["windows"]) for i, window in rows.items())


def test_several_prefix_lengths_in_a_batch(stores):
    pairs = Pairs([stores["a"], stores["b"]], PAD)
    batch = pairs.collater([pairs[0], pairs[25]])
    windows, shared = batch["net_input"]["windows"], batch["net_input"]["shared"]
    assert windows.shape == (2, 2, 16) and shared == 5
    assert torch.equal(windows[:, 0, :shared], windows[:, 1, :shared])
    assert batch["id"].tolist() == [0, 25] and batch["nsentences"] == 2 and batch["ntokens"] == 64
    assert pairs.collater([]) == {}


def test_what_is_shared_at_the_end_is_not_shared_at_the_beginning(stores):
    pairs = Pairs([stores["a"], stores["backward"]], PAD)
    item = pairs[25]
    assert torch.equal(item["windows"][0, -8:], item["windows"][1, -8:])
    assert pairs.collater([pairs[0], item])["net_input"]["shared"] == 0


def test_windows_of_several_lengths_are_padded(stores):
    pairs = Pairs([stores["a"], stores["short"]], PAD)
    windows = pairs.collater([pairs[0], pairs[25]])["net_input"]["windows"]
    assert windows.shape == (2, 2, 16)
    assert (windows[1, :, 12:] == PAD).all() and (windows[1, :, :12] != PAD).all()
    assert np.array_equal(windows[1, 0, :12], stores["short"][5].real)
    assert [pairs.size(0), pairs.size(25)] == [16, 12]


def test_all_negatives_are_as_many_as_every_store_has(stores):
    assert Pairs([stores["a"]], PAD, None).negatives == 6
    pairs = Pairs([stores["a"], stores["b"]], PAD, None, training=False)
    batch = pairs.collater([pairs[0], pairs[25]])
    assert batch["net_input"]["windows"].shape == (2, 5, 16)


@pytest.mark.parametrize("negatives", [0, 5])
def test_more_negatives_than_there_are(stores, negatives):
    with pytest.raises(UserError, match=f"--negatives-per-positive: {negatives}, but 4 were"):
        Pairs([stores["a"], stores["b"]], PAD, negatives)


@pytest.mark.parametrize("size", [1, 5, 8, 12])
def test_no_window_is_left_out_of_validation(tmp_path, size):
    """fairseq drops a last batch that is no multiple of 8."""
    store = random_store(tmp_path / "neg", count=19)
    for training in (False, True):
        pairs = Pairs([NegativesSubset(store, "valid")], 1, training=training)
        batches = pairs.batch_by_size(
            pairs.ordered_indices(), max_sentences=size, required_batch_size_multiple=8
        )
        taken = sorted(i for batch in batches for i in batch.tolist())
        # In training what is left over is dropped: less than the multiple.
        assert len(set(taken)) == len(taken)
        assert (len(taken) > 19 - 8) if training else (taken == list(range(19)))
