"""The baseline that only knows words: scikit-learn's TF-IDF and logistic regression."""

from collections.abc import Iterable, Sequence
from typing import Any, Dict, List, Tuple

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ..data.tokenizers import Tokenizer
from ..errors import UserError
from ..numerics.discrimination import balanced_accuracy
from .stores import Batch

FEATURES = 2**21
STRENGTHS = [2.0**power for power in range(-4, 9, 2)]  # values of C: strong to weak regularisation

Labelled = Tuple[List[str], np.ndarray]  # texts, and which of them are generated


class TfIdf:
    """Learnt from ``train``; the strength of its regularisation is the best of ``valid``."""

    def __init__(self, train: Labelled, valid: Labelled) -> None:
        self.vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=5, max_features=FEATURES)
        try:
            features = self.vectorizer.fit_transform(train[0])
        except ValueError:
            problem = "no word is in 5 texts to train on; give it more text"
            raise UserError(f"--tfidf: {problem}") from None
        held_out = self.vectorizer.transform(valid[0])
        self.accuracy, self.strength, self.model = max(
            (self._fit(features, train[1], held_out, valid[1], c) for c in STRENGTHS),
            key=lambda fitted: fitted[0],
        )

    @staticmethod
    def _fit(
        features: Any, labels: np.ndarray, held_out: Any, truth: np.ndarray, strength: float
    ) -> Tuple[float, float, LogisticRegression]:
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
        model.fit(features, labels)
        scores = model.decision_function(held_out)
        real, generated = (torch.from_numpy(scores[truth == kind]) for kind in (False, True))
        return balanced_accuracy(real, generated), strength, model

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Higher: more likely generated."""
        return np.asarray(self.model.decision_function(self.vectorizer.transform(texts)))


class TfIdfScorer:
    """Reads only continuations: what a real window and those in its place share says nothing."""

    names = ("tfidf",)

    def __init__(self, tokenizer: Tokenizer, words: TfIdf) -> None:
        self.tokenizer, self.words = tokenizer, words

    def __call__(self, texts: Tensor, before: int, after: int) -> Dict[str, Tensor]:
        scores = self.words.scores(continuations(self.tokenizer, texts, before, after))
        return {"tfidf": torch.from_numpy(scores).view(texts.shape[:2])}


def continuations(tokenizer: Tokenizer, texts: Tensor, before: int, after: int) -> List[str]:
    """(B, M, T) -> B * M texts without what those of a row share."""
    own = texts[..., before : texts.size(-1) - after].flatten(0, 1)
    padding = tokenizer.dictionary.pad()
    return [tokenizer.decode(tokens[tokens != padding].tolist()) for tokens in own]


def labelled(tokenizer: Tokenizer, batches: Iterable[Batch]) -> Labelled:
    """The continuations in ``batches``, and which of them are generated."""
    texts: List[str] = []
    generated: List[Tensor] = []
    for batch in batches:
        texts += continuations(tokenizer, batch.texts, batch.before, batch.after)
        windows, each = batch.texts.shape[:2]
        generated.append((torch.arange(each) > 0).repeat(windows))
    return texts, torch.cat(generated).numpy()


def labelled_texts(real: Sequence[str], generated: Sequence[str]) -> Labelled:
    labels = np.arange(len(real) + len(generated)) >= len(real)
    return [*real, *generated], labels
