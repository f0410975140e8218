"""The store's records: what an example is, and which stores are refused."""

import dataclasses
import json

import numpy as np
import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.negatives.arrays import ArraysWriter
from fairseq_ebm.negatives.store import (
    FORMAT_VERSION,
    Manifest,
    NegativesSubset,
    begin,
    layout,
    mark_whole,
    merge,
    read_manifest,
)

MANIFEST = Manifest(
    format_version=FORMAT_VERSION,
    source={"language_model": {"sha256": "1"}, "text": {"train": "1" * 64}},
    options={"window": 6, "right_to_left": False, "temperature": 1.0, "seed": 1},
    dictionary={"size": 100, "sha256": "2"},
    subsets={},
    versions={},
)
ROWS = {
    "number": [0, 5],
    "window": [[10, 11, 12, 13, 14, 15], [20, 21, 22, 23, 24, 25]],
    "prefix_length": [4, 3],
    "negatives": [[[50, 51, 1], [52, 53, 1]], [[60, 61, 62], [63, 64, 65]]],
    "real_log_p": [-1.5, -2.5],
    "log_p": [[-3.0, -4.0], [-5.0, -6.0]],
    "log_q": [[-3.0, -4.0], [-5.0, -6.5]],
}


def store(neg, manifest=MANIFEST, name="train", rows=2):
    data = neg.parent / "data"
    data.mkdir(exist_ok=True)
    (data / "dict.txt").write_text("a 1\n")
    begin(neg, manifest, data)
    with ArraysWriter(neg / name, layout(6, 3, 2, 100), rows) as writer:
        writer.write({key: np.array(value)[:rows] for key, value in ROWS.items()})
    return neg


def test_an_example_is_whole_windows(tmp_path):
    neg = store(tmp_path / "neg")
    mark_whole(neg, "train", 2)
    first, second = NegativesSubset(neg, "train")
    assert first.negatives.tolist() == [[10, 11, 12, 13, 50, 51], [10, 11, 12, 13, 52, 53]]
    assert second.negatives.tolist() == [[20, 21, 22, 60, 61, 62], [20, 21, 22, 63, 64, 65]]
    assert (second.prefix_length, second.real_log_p, second.log_q[1]) == (3, -2.5, -6.5)
    assert (neg / "dict.txt").read_text() == "a 1\n"


def test_right_to_left_the_generated_part_comes_first(tmp_path):
    options = {**MANIFEST.options, "right_to_left": True}
    neg = store(tmp_path / "neg", dataclasses.replace(MANIFEST, options=options))
    mark_whole(neg, "train", 2)
    first = NegativesSubset(neg, "train")[0]
    assert first.real.tolist() == [10, 11, 12, 13, 14, 15]
    assert first.negatives.tolist() == [[50, 51, 12, 13, 14, 15], [52, 53, 12, 13, 14, 15]]


def test_which_negatives_are_the_language_models_own():
    def truncated(**options):
        return dataclasses.replace(MANIFEST, options={**MANIFEST.options, **options}).is_truncated

    assert not truncated() and not truncated(sampling_topp=1.0)
    assert truncated(sampling_topk=10) and truncated(sampling_topp=0.9) and truncated(temperature=2)
    assert dataclasses.replace(MANIFEST, source={"real": "", "generated": ""}).is_truncated


def test_negatives_of_a_hugging_face_model_are_never_the_language_models_own():
    source = {"hugging_face": {"sha256": "1"}, "text": {}}
    manifest = dataclasses.replace(MANIFEST, source=source)
    assert manifest.is_truncated and manifest.sampler == "Hugging Face model"
    cut = dataclasses.replace(manifest, options={**MANIFEST.options, "sampling_topk": 10})
    assert cut.sampler == "Hugging Face model, top-k 10"


def test_the_same_options_go_on_and_others_are_named(tmp_path):
    neg = store(tmp_path / "neg")
    mark_whole(neg, "train", 2)
    assert begin(neg, MANIFEST, tmp_path / "data").subsets == {"train": 2}
    for change, message in {
        "options": (dict(MANIFEST.options, seed=2), r"options \(seed 1, now 2\)"),
        "source": ({"text": MANIFEST.source["text"]}, "language model or files"),
        "dictionary": ({}, "dictionary"),
    }.items():
        other = dataclasses.replace(MANIFEST, **{change: message[0]})
        with pytest.raises(UserError, match=f"begun with other {message[1]}"):
            begin(neg, other, tmp_path / "data")


def test_another_text_is_named(tmp_path):
    neg = store(tmp_path / "neg")
    source = {**MANIFEST.source, "text": {"train": "2" * 64}}
    message = r"other text: train \(SHA-256 of its tokens 111111111111…, now 222222222222…\)"
    with pytest.raises(UserError, match=message):
        begin(neg, dataclasses.replace(MANIFEST, source=source), tmp_path / "data")


def test_other_peoples_directories_are_left_alone(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").touch()
    with pytest.raises(UserError, match="holds something else"):
        begin(tmp_path / "mine", MANIFEST, tmp_path / "data")


def test_subsets_that_are_not_whole(tmp_path):
    neg = store(tmp_path / "neg")
    with pytest.raises(UserError, match="train is not complete; it has none"):
        NegativesSubset(neg, "train")
    mark_whole(neg, "train", 2)
    (neg / "valid.part").mkdir()
    with pytest.raises(UserError, match="valid is not complete; run fairseq-ebm negatives again"):
        NegativesSubset(neg, "valid")
    mark_whole(neg, "train", 3)
    with pytest.raises(UserError, match="holds 2 windows, but the manifest says 3"):
        NegativesSubset(neg, "train")


def test_manifests_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="not a store"):
        read_manifest(tmp_path)
    neg = store(tmp_path / "neg")
    path = neg / "manifest.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "format_version": 9}))
    with pytest.raises(UserError, match="format version 9"):
        read_manifest(neg)
    del values["options"]
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"manifest\.json: altered"):
        read_manifest(neg)


def test_merging_wants_every_shard(tmp_path):
    neg = store(tmp_path / "neg", name="train.shard-0-of-3", rows=1)
    store(neg, name="train.shard-2-of-3", rows=1)
    with pytest.raises(UserError, match="shards 1 of 3 of train are not complete"):
        merge(neg)
    store(neg, name="train.shard-0-of-2", rows=1)
    with pytest.raises(UserError, match="different sizes"):
        merge(neg)


def test_nothing_to_merge(tmp_path):
    neg = tmp_path / "neg"
    (tmp_path / "data").mkdir()
    begin(neg, MANIFEST, tmp_path / "data")
    with pytest.raises(UserError, match="no shard that is complete"):
        merge(neg)


def test_a_kill_while_the_store_is_begun_leaves_no_trace(tmp_path):
    whole = store(tmp_path / "whole")
    mark_whole(whole, "train", 2)
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "manifest.json.123.tmp").write_text("{")
    store(killed)
    (killed / "dict.txt").write_text("a")
    begin(killed, MANIFEST, tmp_path / "data")
    mark_whole(killed, "train", 2)
    contents = [
        {str(p.relative_to(neg)): p.read_bytes() for p in neg.rglob("*") if p.is_file()}
        for neg in (whole, killed)
    ]
    assert contents[0] == contents[1]


def test_a_merge_that_was_stopped_while_removing_shards_can_be_finished(tmp_path):
    neg = store(tmp_path / "neg")
    mark_whole(neg, "train", 2)
    store(neg, name="train.shard-1-of-3", rows=1)
    assert merge(neg) == {"train": 2}
    assert sorted(p.name for p in neg.iterdir()) == ["dict.txt", "manifest.json", "train"]
