"""``energy_hf``: any encoder or decoder of transformers, with our head.

Its checkpoint is whole in itself: configuration and tokenizer are in fairseq's ``task_state``, all
weights among the model's. With ``--hf-lora`` it has adapters and head alone, and needs the folder.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Dict, Mapping, Optional, Tuple

import torch
from fairseq.data import Dictionary
from fairseq.models import register_model
from torch import Tensor, nn

from ..data.tokenizers import vocabulary_hashes
from ..errors import UserError
from .energy import EnergyHead, EnergyModel
from .hugging_face_body import (
    FLAG,
    RECIPE,
    HuggingFaceEnergyConfig,
    Recipe,
    built,
    folder_of,
    is_causal,
    reader_of,
    require_vocabulary,
    taken_in,
)
from .hugging_face_reader import NOTHING, SymbolReader, TextReader


@register_model("energy_hf", dataclass=HuggingFaceEnergyConfig)
class HuggingFaceEnergy(EnergyModel):
    """``body``: a model of transformers without an output layer."""

    body: Any  # a module whose attributes are transformers' own
    embedding: Optional["Renumbered"]

    def __init__(
        self, cfg: HuggingFaceEnergyConfig, dictionary: Dictionary, body: Any, reader: Any
    ) -> None:
        super().__init__(cfg, dictionary)
        self.body, self.reader = body, reader
        self.only_trained = bool(cfg.hf_lora)
        self.head = EnergyHead(body.config.hidden_size, cfg.energy_pooling)
        self.embedding = None
        if isinstance(reader, SymbolReader):
            self.embedding = Renumbered(body.get_input_embeddings(), reader)

    @classmethod
    def make(cls, cfg: HuggingFaceEnergyConfig, task: Any) -> "HuggingFaceEnergy":
        state = task.state.state_dict.get(RECIPE)
        if state is None:
            body, recipe = taken_in(cfg, folder_of(cfg), FLAG)
            recipe = replace(recipe, vocabulary=vocabulary_hashes(task.data))
            if str(cfg.energy_pooling) == "first" and is_causal(body):
                problem = "has seen nothing at the first position; use mean, sum or last"
                raise UserError(f"--energy-pooling first: a {type(body).__name__} {problem}")
            task.state.merge_state_dict({RECIPE: asdict(recipe)})
        else:  # from a checkpoint, which has the weights
            recipe = Recipe(**state)
            require_vocabulary(recipe, task.data)
            body = built(cfg, recipe)
        return cls(cfg, task.dictionary, body, reader_of(recipe, task.data, task.dictionary.pad()))

    @property
    def reads_ahead(self) -> Any:
        """What workers may do while the model is busy: windows (N, T) -> what it reads (N, S)."""
        return self.reader if isinstance(self.reader, TextReader) else None

    def of_rows(self, windows: Tensor, shared: int, read: Optional[Tensor] = None) -> Tensor:
        """``read``: what ``reads_ahead`` gave for all windows, row by row."""
        flat = windows.flatten(0, 1)
        return self.of_read(self.reader(flat) if read is None else read).view(windows.shape[:2])

    def of_windows(self, tokens: Tensor) -> Tensor:
        if self.embedding is None or bool((tokens == self.padding).any()):
            return self.of_read(self.reader(tokens))
        template = self.reader.template
        before, after = (
            self._around(ids, len(tokens)) for ids in (template.before, template.after)
        )
        vectors = torch.cat([before, self.embedding(tokens), after], dim=1)
        features = self.body(inputs_embeds=vectors).last_hidden_state
        return self.head(features, torch.ones_like(features[..., 0], dtype=torch.bool))

    def _around(self, ids: Tuple[int, ...], rows: int) -> Tensor:
        symbols = torch.tensor([ids] * rows, device=self.head.projection.weight.device)
        return self.body.get_input_embeddings()(symbols.long())

    def of_read(self, ids: Tensor) -> Tensor:
        ids = ids.to(self.head.projection.weight.device)
        is_token = ids != NOTHING
        features = self.body(
            input_ids=ids.masked_fill(~is_token, 0), attention_mask=is_token.long()
        ).last_hidden_state
        return self.head(features, is_token)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **more: Any) -> Any:
        """Half precision is for weights: the frequencies of rotary positions stay in float32."""
        kept = [
            (module, name, buffer)
            for module in self.body.modules()
            for name, buffer in module.named_buffers(recurse=False)
            if buffer.is_floating_point()
        ]
        super()._apply(fn, *args, **more)
        for module, name, buffer in kept:
            module._buffers[name] = buffer.to(module.get_buffer(name).device)
        return self

    def token_embedding(self) -> Any:
        if self.embedding is None:
            problem = (
                "reads DATA as text, and so has no vectors of its symbols, nor gradients there"
            )
            raise UserError(f"an energy_hf with another tokenizer {problem}")
        return self.embedding

    def max_positions(self) -> int:
        """Text may be of any length: what is too long for the model is cut at the beginning."""
        if self.embedding is None:
            return super().max_positions()
        return self.reader.template.room

    def state_dict(self, *args: Any, **more: Any) -> Dict[str, Any]:
        state = super().state_dict(*args, **more)
        if self.only_trained:
            fixed = {name for name, p in self.named_parameters() if not p.requires_grad}
            for name in fixed.intersection(state):
                del state[name]
        return state

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, **more: Any) -> Any:
        if self.only_trained:
            fixed = {n: p for n, p in self.named_parameters() if not p.requires_grad}
            state = {**fixed, **state}
        return super().load_state_dict(state, strict=strict, **more)


class Renumbered(nn.Module):
    """A model's embedding, by the symbols of the data. It has no weights of its own."""

    def __init__(self, embedding: nn.Embedding, reader: SymbolReader) -> None:
        super().__init__()
        self._shared = (embedding, reader)  # a tuple: not registered again

    @property
    def weight(self) -> Tensor:
        embedding, reader = self._shared
        return embedding.weight[reader.ids(embedding.weight.device)]

    def forward(self, tokens: Tensor) -> Tensor:
        embedding, reader = self._shared
        return embedding(reader.ids(tokens.device)[tokens])
