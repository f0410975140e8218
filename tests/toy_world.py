"""A world small enough to enumerate: the truth that estimators and samplers are held to."""

import itertools

import torch
from scipy.stats import chisquare
from torch import Tensor


def random_log_conditionals(vocabulary: int, length: int, generator: torch.Generator) -> list:
    """log P(x_t | x_<t) as one table a position, of shape (V,) * (t + 1)."""
    return [
        torch.log_softmax(
            1.5 * torch.randn((vocabulary,) * (t + 1), generator=generator, dtype=torch.float64), -1
        )
        for t in range(length)
    ]


class ToyWorld:
    """Random LM, data distribution and energy over all sequences of a small vocabulary.

    sequences      (V^T, T)
    log_lm         (V^T,)  log P_LM of each sequence
    log_data       (V^T,)  log P_data of each sequence
    energies       (V^T,)
    log_z          ()      log Σ P_LM exp(-E)
    log_joint      (V^T,)  log P_LM - E - log Z
    """

    def __init__(self, seed: int = 1, vocabulary: int = 4, length: int = 3) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.vocabulary, self.length = vocabulary, length
        self.sequences = torch.tensor(list(itertools.product(range(vocabulary), repeat=length)))
        self.lm_tables = random_log_conditionals(vocabulary, length, generator)
        self.data_tables = random_log_conditionals(vocabulary, length, generator)
        self.log_lm = self.log_prob(self.lm_tables)
        self.log_data = self.log_prob(self.data_tables)
        self.energies = torch.randn(len(self.sequences), generator=generator, dtype=torch.float64)
        self.log_z = torch.logsumexp(self.log_lm - self.energies, 0)
        self.log_joint = self.log_lm - self.energies - self.log_z

    def log_prob(self, tables: list, start: int = 0) -> Tensor:
        """Log-probability under ``tables`` of each sequence's tokens from position ``start`` on."""
        columns = self.sequences.T
        return sum(tables[t][tuple(columns[: t + 1])] for t in range(start, self.length))  # type: ignore[return-value]

    def by_prefix(self, values: Tensor) -> Tensor:
        """(V^T,) -> (V, V^(T-1)): a row for each first token, which serves as the prefix."""
        return values.view(self.vocabulary, -1)

    def sample(self, shape: tuple, generator: torch.Generator) -> Tensor:
        """Indices into ``sequences``, drawn from the LM token by token."""
        prefix = torch.zeros(shape, dtype=torch.long)
        columns: list = []
        for table in self.lm_tables:
            probs = table[tuple(columns)].exp() if columns else table.exp().expand(*shape, -1)
            drawn = torch.multinomial(
                probs.reshape(-1, self.vocabulary), 1, generator=generator
            ).view(shape)
            columns.append(drawn)
            prefix = prefix * self.vocabulary + drawn
        return prefix


def chi_square_p(counts: Tensor, probabilities: Tensor) -> float:
    """p-value of observed ``counts`` under ``probabilities``; cells expected below 5 are pooled."""
    expected = probabilities.double() / probabilities.double().sum() * counts.sum()
    order = expected.argsort()
    counts, expected = counts.double()[order], expected[order]
    if bool((counts[expected == 0] > 0).any()):
        return 0.0  # something was drawn that cannot be
    counts, expected = counts[expected > 0], expected[expected > 0]
    rare = max(int((expected.cumsum(0) < 5).sum()) + 1, int((expected < 5).sum()))
    pooled_counts = torch.cat([counts[:rare].sum().view(1), counts[rare:]])
    pooled_expected = torch.cat([expected[:rare].sum().view(1), expected[rare:]])
    return float(chisquare(pooled_counts.numpy(), pooled_expected.numpy()).pvalue)
