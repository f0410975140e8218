"""What gives texts scores: energies, language models, TF-IDF. Higher: more likely generated."""

from typing import Any, Callable, Dict, Optional

import torch
from torch import Tensor

from ..joint.model import ROWS
from ..lm.scoring import text_statistics, token_log_probs
from ..numerics.detectors import DETECTORS, TokenStatistics

# (texts (B, M, T), padded at the end; how many tokens at the beginning the M of a row share; how
# many at the end) -> {name: (B, M) float64}
Scorer = Callable[[Tensor, int, int], Dict[str, Tensor]]


class EnergyScorer:
    """E itself: low means real. Or, with ``probability``, 1 / (1 + exp(-E)): that the text is
    generated, if both kinds are as frequent.

    ``threshold``: where the energy itself draws the line, if it was trained to.
    """

    names = ("energy",)

    def __init__(
        self, energy: Any, probability: bool = False, threshold: Optional[float] = None
    ) -> None:
        self.energy, self.probability, self.threshold = energy, probability, threshold
        self.device = next(energy.parameters()).device

    @torch.inference_mode()
    def __call__(self, texts: Tensor, before: int, after: int) -> Dict[str, Tensor]:
        rows = max(1, ROWS[self.device.type] // texts.size(1))
        parts = [self.energy(part.to(self.device), before) for part in texts.split(rows)]
        found = torch.cat(parts).double().cpu()
        return {"energy": found.sigmoid() if self.probability else found}


WHOLE = "log_likelihood_whole"


class LanguageModelScorer:
    """Of the tokens that a language model predicts after what the texts of a row share.

    It judges all that it reads after that: if the texts share their end instead, everything.
    ``log_likelihood_whole`` is of all tokens, as in the second paper: what texts share does not
    tell them apart, but shifts the scores of one row against those of the next.
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
        rows = flat.split(max(1, ROWS[self.device.type] // 4))
        parts = [text_statistics(self.model, part, before) for part in rows]
        statistics = TokenStatistics(*(torch.cat(values) for values in zip(*parts)))
        is_token = flat[:, before:] != self.padding
        found = {name: score(statistics, is_token) for name, score in DETECTORS.items()}
        tokens, shared = is_token.sum(dim=1), self._shared(texts[:, 0, :before])
        own = found["log_likelihood"] * tokens
        found[WHOLE] = (own + shared.repeat_interleave(texts.size(1))) / (tokens + before)
        return {name: values.view(texts.shape[:2]) for name, values in found.items()}

    def _shared(self, beginnings: Tensor) -> Tensor:
        """log P_LM of what the texts of each row share at first: (B, p) -> (B,) float64"""
        rows = beginnings.split(max(1, ROWS[self.device.type] // 4))
        parts = [token_log_probs(self.model, part, 0, without_padding=True) for part in rows]
        return torch.cat(parts).double().sum(dim=1)


def reversed_texts(texts: Tensor, padding: int) -> Tensor:
    """(…, T) backwards, padding still at the end."""
    length = (texts != padding).sum(dim=-1, keepdim=True)
    place = torch.arange(texts.size(-1)).expand_as(texts)
    return texts.gather(-1, torch.where(place < length, length - 1 - place, place))
