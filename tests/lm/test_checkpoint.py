import torch
from fairseq import checkpoint_utils

from fairseq_ebm.lm.checkpoint import load_base_lm, read_config, reads_right_to_left


def test_a_model_is_read_once_and_its_configuration_without_tensors(
    sums, sums_lm, backward_lm, monkeypatch
):
    reads = []
    read = checkpoint_utils.load_checkpoint_to_cpu
    monkeypatch.setattr(
        checkpoint_utils, "load_checkpoint_to_cpu", lambda p, *a: reads.append(p) or read(p, *a)
    )
    lm = load_base_lm(sums_lm, sums, "fp32", torch.device("cpu"))
    assert len(reads) == 1 and lm.architecture == "transformer_lm" and not lm.right_to_left
    assert reads_right_to_left(read_config(backward_lm, sums, "--path")) and len(reads) == 1
