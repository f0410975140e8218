"""A real language model and a real energy, small and random, over enumerable texts."""

import itertools

import numpy as np
import torch

from fairseq_ebm.data.windows import WindowOptions
from fairseq_ebm.joint.model import Joint
from fairseq_ebm.lm.sampler import Sampler
from tests.lm import models
from tests.models import energies

SYMBOLS = len(models.dictionary())
PAD = 1
PREFIX, WINDOW = 2, 5


class FixedWindows:
    """The interface of ``data.windows.Windows`` over given windows."""

    def __init__(self, tokens, prefix_length=PREFIX):
        self.subset, self.numbers = "test", np.arange(len(tokens)) + 10
        self.options = WindowOptions(window=tokens.shape[1], prefix_lengths=(prefix_length,))
        self._tokens = tokens.numpy()

    def __len__(self):
        return len(self._tokens)

    def tokens(self, i):
        return self._tokens[i]


def random_windows(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(4, SYMBOLS, (count, WINDOW), generator=generator)


def random_energy(arch="energy_roberta", scale=1.0):
    energy = energies.build(arch, symbols=SYMBOLS)
    return lambda windows, shared: scale * energy(windows, shared)


def joint(energy, kind="pre-norm", right_to_left=False):
    model = models.build(kind)
    return Joint(model, Sampler(model), energy, right_to_left)


def log_z(world, window, prefix_length):
    """The true log Z of a prefix: over all continuations of symbols but padding."""
    length = len(window) - prefix_length
    symbols = [s for s in range(len(world.model.decoder.dictionary)) if s != PAD]
    tails = torch.tensor(list(itertools.product(symbols, repeat=length)))
    texts = torch.cat([window[:prefix_length].expand(len(tails), -1), tails], dim=1)
    log_lm = torch.cat(
        [world.token_log_probs(part, prefix_length).sum(dim=1) for part in texts.split(4096)]
    )
    energies_ = world.energies(texts.unsqueeze(0), prefix_length)[0]
    assert abs(float(torch.logsumexp(log_lm, 0))) < 1e-5  # P_LM sums to 1
    return float(torch.logsumexp(log_lm - energies_, 0))
