"""What gives texts scores: energies, language models, TF-IDF. Higher: more likely generated."""

from typing import Any, Callable, Dict, Optional, Tuple

import torch
from torch import Tensor

from ..joint.model import rows_at_once
from ..lm.scoring import text_statistics, token_log_probs
from ..numerics.detectors import DETECTORS, TokenStatistics

# (texts (B, M, T), padded at the end; how many tokens the M of a row share at the beginning; how
# many at the end) -> {name: (B, M) float64}
Scorer = Callable[[Tensor, int, int], Dict[str, Tensor]]


class EnergyScorer:
    """E itself: low means real. With ``probability``, 1 / (1 + exp(-E)): the probability that the
    text is generated, if both kinds are equally frequent.

    ``threshold``: the energy's own, if it was trained to have one.
    """

    names = ("energy",)

    def __init__(
        self, energy: Any, probability: bool = False, threshold: Optional[float] = None
    ) -> None:
        self.energy, self.probability, self.threshold = energy, probability, threshold
        self.device = next(energy.parameters()).device

    @torch.inference_mode()
    def __call__(self, texts: Tensor, before: int, after: int) -> Dict[str, Tensor]:
        rows = max(1, rows_at_once(self.device) // texts.size(1))
        parts = [self.energy(part.to(self.device), before) for part in texts.split(rows)]
        energies = torch.cat(parts).double().cpu()
        return {"energy": energies.sigmoid() if self.probability else energies}


WHOLE = "log_likelihood_whole"


class LanguageModelScorer:
    """Scores of the tokens that a language model predicts after what the texts of a row share.

    It judges all that it reads after that: if they share their end instead, everything.
    ``log_likelihood_whole`` is of all tokens, as in the second paper: what texts share does not
    tell them apart, but shifts the scores of one row relative to those of another.
    """

    names = (*DETECTORS, WHOLE)

    def __init__(self, model: Any, right_to_left: bool = False) -> None:
        self.model, self.right_to_left = model, right_to_left
        self.device = next(model.parameters()).device
        self.padding = model.decoder.dictionary.pad()

    def __call__(self, texts: Tensor, before: int, after: int) -> Dict[str, Tensor]:
        if self.right_to_left:
            texts, before = reversed_texts(texts, self.padding), after
        flat = texts.flatten(0, 1)
        parts = [text_statistics(self.model, part, before) for part in self._split(flat)]
        statistics = TokenStatistics(*(torch.cat(values) for values in zip(*parts)))
        is_token = flat[:, before:] != self.padding
        scores = {name: score(statistics, is_token) for name, score in DETECTORS.items()}
        tokens, shared = is_token.sum(dim=1), self._shared(texts[:, 0, :before])
        own = scores["log_likelihood"] * tokens
        scores[WHOLE] = (own + shared.repeat_interleave(texts.size(1))) / (tokens + before)
        return {name: values.view(texts.shape[:2]) for name, values in scores.items()}

    def _shared(self, beginnings: Tensor) -> Tensor:
        """log P_LM of what the texts of each row share at first: (B, p) -> (B,) float64"""
        split = self._split(beginnings)
        parts = [token_log_probs(self.model, part, 0, without_padding=True) for part in split]
        return torch.cat(parts).double().sum(dim=1)

    def _split(self, texts: Tensor) -> Tuple[Tensor, ...]:
        return texts.split(max(1, rows_at_once(self.device) // 4))


def reversed_texts(texts: Tensor, padding: int) -> Tensor:
    """(…, T) backwards, padding still at the end."""
    length = (texts != padding).sum(dim=-1, keepdim=True)
    position = torch.arange(texts.size(-1)).expand_as(texts)
    return texts.gather(-1, torch.where(position < length, length - 1 - position, position))
