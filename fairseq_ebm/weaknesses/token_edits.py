"""How few tokens must change until an energy takes real text for generated, or the reverse?
(Appendix F of the second paper.)

The edits are found with gradients: if v takes the place of token t of a window x,

    E(x') ≈ E(x) + ∇_t E(x) · (emb(v) - emb(x_t)),

with the gradient with respect to the vector of token t, as the embedding gives it."""

import math
from collections.abc import Sequence
from statistics import median
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from ..data.tokenizers import NUM_SPECIAL, Tokenizer
from ..models.energy import EnergyModel
from ..options import Record
from .perturbations import Judge, mean

EXAMPLES = 5  # texts of each kind that the report shows


TokenEdit = Tuple[int, int, float]  # position, symbol, predicted change


class Edit(NamedTuple):
    """``position`` counts from 1; ``energy`` and ``nll`` are those of the text after this edit and
    those before it, ``alone_energy`` and ``alone_nll`` of the text with this edit only."""

    position: int
    before: int
    after: int
    predicted_change: float
    energy: float
    nll: Optional[float]
    alone_energy: float
    alone_nll: Optional[float]


class EditedText(NamedTuple):
    """``agreeing`` of the ``checked`` best edits move the energy the way that was predicted."""

    tokens: List[int]
    energy: float
    nll: Optional[float]  # mean over all tokens of the window
    edits: List[Edit]
    agreeing: int
    checked: int

    @property
    def judged(self) -> List[Tuple[float, Optional[float]]]:
        """Energy and nll before all edits, and after each."""
        return [(self.energy, self.nll), *((edit.energy, edit.nll) for edit in self.edits)]


class Editor(NamedTuple):
    """``allowed`` (V,): the symbols that may be put in. ``edits`` are made, and the ``top`` best
    first ones checked, for each text."""

    model: EnergyModel
    energy: Judge
    nll: Optional[Judge]
    allowed: Tensor
    edits: int
    top: int

    def edit(self, window: Tensor, part: slice, direction: int) -> EditedText:
        """Edits tokens of ``part`` of a window (T,), no token twice: the best edit by the first
        order, then the best after that. ``direction``: 1 raises the energy, -1 lowers it."""
        free = torch.zeros(len(window), dtype=torch.bool)
        free[part] = window[part] >= NUM_SPECIAL
        path = [window]
        made: List[TokenEdit] = []
        best: List[TokenEdit] = []
        while len(made) < self.edits and bool(free.any()):
            ranked = self._rank(path[-1], free, direction)
            if not ranked:  # nothing else may stand there
                break
            best = best or ranked
            position, symbol, _ = ranked[0]
            made.append(ranked[0])
            path.append(_with(path[-1], position, symbol))
            free[position] = False
        single = [_with(window, position, symbol) for position, symbol, _ in made]
        texts = torch.stack([*path, *single])
        energies = self.energy(texts).tolist()
        nll = [None] * len(texts) if self.nll is None else self.nll(texts).tolist()
        judged = list(zip(energies, nll))
        after = zip(made, judged[1:], judged[len(path) :])
        edits = [
            Edit(position + 1, int(window[position]), symbol, change, *all_so_far, *alone)
            for (position, symbol, change), all_so_far, alone in after
        ]
        agreeing = self._agreeing(window, best)
        return EditedText(window.tolist(), *judged[0], edits, agreeing, len(best))

    def _rank(self, window: Tensor, free: Tensor, direction: int) -> List[TokenEdit]:
        """The ``top`` edits (position, symbol, predicted change) that push furthest."""
        change = first_order(self.model, window, free)  # (T, V)
        may = free.unsqueeze(1) & self.allowed
        may[torch.arange(len(window)), window] = False
        pushes = (direction * change).masked_fill(~may, -torch.inf).flatten()
        values, places = pushes.topk(min(self.top, int(may.sum())))
        found, symbols = zip(values.tolist(), places.tolist()), change.size(1)
        return [(at // symbols, at % symbols, direction * value) for value, at in found]

    def _agreeing(self, window: Tensor, edits: Sequence[TokenEdit]) -> int:
        """How many edits, each alone, change the energy in the direction predicted."""
        others = [_with(window, position, symbol) for position, symbol, _ in edits]
        energies = self.energy(torch.stack([window, *others]))
        true = energies[1:] - energies[0]
        predicted = torch.tensor([change for _, _, change in edits], dtype=true.dtype)
        return int((true * predicted > 0).sum())


def first_order(model: EnergyModel, window: Tensor, free: Optional[Tensor] = None) -> Tensor:
    """∇_t E · (emb(v) - emb(x_t)) for each token t of a window (T,) and each symbol v: (T, V). What
    an energy knows by heart, no function of embeddings, is exact, and left out unless a token is
    ``free`` (T,) to change."""
    embedding = model.token_embedding().weight.detach()
    tokens = window.to(embedding.device)
    _, gradients = embedding_gradients(model, tokens.unsqueeze(0))
    vectors, slope = embedding.float(), gradients[0].float()
    now = (slope * vectors[tokens]).sum(dim=1, keepdim=True)
    change = slope @ vectors.T - now
    free = torch.ones_like(window, dtype=torch.bool) if free is None else free
    places = free.nonzero().squeeze(1).to(tokens.device)
    for part in model.by_heart:
        change[places] += part.changes(tokens, len(vectors), places)
    return change.cpu()


def embedding_gradients(model: EnergyModel, windows: Tensor) -> Tuple[Tensor, Tensor]:
    """E (N,) of windows (N, T), and its gradients (N, T, d) with respect to what the embedding of
    the tokens gives, before anything scales it."""
    vectors: List[Tensor] = []

    def take(module: Any, inputs: Any, output: Tensor) -> Tensor:
        vectors.append(output.detach().requires_grad_())
        return vectors[-1]

    hook = model.token_embedding().register_forward_hook(take)
    try:
        with torch.enable_grad():
            energies = model.energy(windows)
    finally:
        hook.remove()
    (gradients,) = torch.autograd.grad(energies.sum(), vectors)
    return energies.detach(), gradients[:, -windows.size(1) :]


def report(texts: Sequence[EditedText], direction: int, threshold: float) -> Record:
    """Of texts that were edited in one direction. Generated: what reaches the threshold.

    Flips are shares of the texts that were judged rightly at first: real ones (``direction`` 1)
    below the threshold, generated ones (-1) not below."""
    real = direction > 0
    judged = [[energy for energy, _ in text.judged] for text in texts]
    right = [energies for energies in judged if (energies[0] < threshold) == real]
    wrong = [[(energy < threshold) != real for energy in energies] for energies in right]
    first = [flags.index(True) for flags in wrong if any(flags)]
    checked = sum(text.checked for text in texts)
    agreeing = sum(text.agreeing for text in texts)
    return {
        "num_texts": len(texts),
        "judged_rightly": len(right),
        "flipped": len(first) / len(right) if right else None,
        "mean_edits_to_flip": sum(first) / len(first) if first else None,
        "sign_agreement": agreeing / checked if checked else None,
        "edits_checked": checked,
        "single_edits": single_edits(texts),
        "by_edits": [_after(texts, wrong, edits) for edits in range(max(map(len, judged)))],
    }


def single_edits(texts: Sequence[EditedText]) -> Record:
    """Each of the edits made, in its text alone, beside the texts as they are and with all of their
    edits: values of energy and, if a language model judged, perplexity. (Figure 5 of the paper.)"""
    some = [text for text in texts if text.edits]
    points = {
        "as it is": [(text.energy, text.nll) for text in some],
        "one edit": [(e.alone_energy, e.alone_nll) for text in some for e in text.edits],
        "all edits": [text.judged[-1] for text in some],
    }
    changes = [edit.alone_energy - text.energy for text in some for edit in text.edits]
    columns = {name: _columns(pairs) for name, pairs in points.items()}
    return {
        "num_edits": len(changes),
        "energy_change": mean(torch.tensor(changes).double()) if changes else None,
        "medians": {
            name: {column: median(values) for column, values in each.items() if values}
            for name, each in columns.items()
        },
        "points": columns,
    }


def _columns(pairs: Sequence[Tuple[float, Optional[float]]]) -> Dict[str, List[float]]:
    columns = {"energy": [energy for energy, _ in pairs]}
    perplexities = [math.exp(nll) for _, nll in pairs if nll is not None]
    return {**columns, "lm_ppl": perplexities} if perplexities else columns


def example(text: EditedText, tokenizer: Tokenizer) -> Record:
    """A text and its edits, in words."""
    edits = [edit._asdict() for edit in text.edits]
    for edit in edits:
        edit.update({name: tokenizer.decode([edit[name]]) for name in ("before", "after")})
    words = tokenizer.decode(text.tokens)
    return {"text": words, "energy": text.energy, "nll": text.nll, "edits": edits}


def _after(texts: Sequence[EditedText], wrong: Sequence[List[bool]], edits: int) -> Record:
    """Of the texts in which so many edits could be made."""
    energies, nll = zip(*(text.judged[edits] for text in texts if len(text.edits) >= edits))
    flags = [flags[edits] for flags in wrong if len(flags) > edits]
    row: Record = {
        "edits": edits,
        "num_texts": len(energies),
        "energy": mean(torch.tensor(energies).double()),
        "flipped": sum(flags) / len(flags) if flags else None,
    }
    if nll[0] is not None:
        row["nll"] = mean(torch.tensor(nll, dtype=torch.float64))
        row["lm_ppl"] = math.exp(row["nll"]["mean"])
    return row


def _with(window: Tensor, position: int, symbol: int) -> Tensor:
    other = window.clone()
    other[position] = symbol
    return other
