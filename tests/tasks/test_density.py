"""The density reading, where all of it can be enumerated: P_LM exp(-E) becomes P_data."""

import torch

from fairseq_ebm.models.checkpoint import load_energy
from tests.stores import write_store
from tests.tasks.training import train
from tests.toy_world import ToyWorld

PER_PREFIX, NEGATIVES = 5000, 4


def draw(log_probs, count, generator):
    """(V, S) log-probabilities of continuations -> indices (V, count)"""
    return torch.multinomial(log_probs.exp(), count, replacement=True, generator=generator)


def test_the_joint_model_becomes_the_data(run_program, tmp_path):
    world = ToyWorld(seed=2, vocabulary=4, length=3)
    generator = torch.Generator().manual_seed(0)
    log_lm, log_data = (
        torch.log_softmax(world.by_prefix(values), dim=1)
        for values in (world.log_lm, world.log_data)
    )  # (prefix, continuation)

    sequences = 4 + world.sequences.view(4, 16, 3)  # after fairseq's four symbols
    prefix = torch.arange(4).unsqueeze(1)
    real = sequences[prefix, draw(log_data, PER_PREFIX, generator)].flatten(0, 1)
    generated = sequences[prefix, draw(log_lm, PER_PREFIX * NEGATIVES, generator)]
    negatives = generated.view(4 * PER_PREFIX, NEGATIVES, 3)
    neg = write_store(tmp_path / "neg", real, negatives, prefix_length=1, symbols=4)

    flags = ["--encoder-layers", 1, "--encoder-embed-dim", 16, "--encoder-hidden-size", 32]
    flags += ["--dropout", 0, "--negatives-per-positive", NEGATIVES, "--batch-size", 400]
    flags += ["--lr", 0.05, "--adam-betas", "(0.9, 0.98)", "--max-update", 400]
    flags += ["--lr-scheduler", "polynomial_decay", "--total-num-update", 400]
    flags += ["--log-interval", 100, "--disable-validation"]
    train(run_program, neg, "energy_bilstm", tmp_path, *flags)
    energy = load_energy(tmp_path / "checkpoint_last.pt", neg, "fp32", torch.device("cpu"))
    with torch.no_grad():
        energies = energy.model(sequences).double()

    z = (log_lm - energies).exp().sum(dim=1)
    log_joint = torch.log_softmax(log_lm - energies, dim=1)
    before, after = (
        (log_data.exp() * (log_data - log_model)).sum(dim=1).mean()
        for log_model in (log_lm, log_joint)
    )
    print(f"KL {before:.4f} -> {after:.4f}, Z {z.tolist()}")
    assert after < before / 20
    assert (z - 1).abs().max() < 0.05
