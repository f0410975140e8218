"""A Hugging Face causal language model as one of fairseq's, in the symbols of prepared text.

The text is prepared with the model's own tokenizer, and symbol h of the model is symbol h + 4 of
the data. </s> of the data is drawn as what ends a text, and read as what starts one, before the
first and between two. What no text contains (special symbols, rows of the model without a
symbol) is never drawn. All of that is padding to fairseq: the logit of padding is the logarithm of
their sum, so that log P of every other symbol is the model's own, and log P without padding is that
of drawing.
"""

import hashlib
import inspect
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import torch
from fairseq.data import Dictionary
from fairseq.models import FairseqIncrementalDecoder
from torch import Tensor, nn

from ..data.hugging_face import (
    FIRST,
    HuggingFaceTokenizer,
    Symbols,
    first_line,
    import_transformers,
    of_transformers,
)
from ..data.options import HUGGING_FACE
from ..data.tokenizers import load_tokenizer
from ..errors import UserError
from ..files import sha256_of

CONFIG_NAME = "config.json"
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
CACHES = ("cache", "past_key_values")  # as models call theirs, the newest transformers first
CLOSE = 1e-3  # how far logits may be apart that are the same but for rounding, as a share


@dataclass(frozen=True)
class Found:
    """``model`` in evaluation mode, with its own ``tokenizer``, both of transformers."""

    model: Any
    tokenizer: Any
    sha256: str

    @property
    def architecture(self) -> str:
        return type(self.model).__name__


def folder_of(path: Union[str, Path]) -> Optional[Path]:
    """That of a Hugging Face model, if ``path`` is hf:FOLDER."""
    name = str(path)
    return Path(name[len(HUGGING_FACE) :]) if name.startswith(HUGGING_FACE) else None


def find(folder: Path, dtype: torch.dtype, flag: str) -> Found:
    """Nothing is fetched, and no code that comes with a model is run."""
    require_whole(folder, flag)
    transformers = import_transformers(flag)
    safe: Dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **safe)
        config = transformers.AutoConfig.from_pretrained(str(folder), **safe)
        safe.update(attention_for(config))
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder), torch_dtype=dtype, output_loading_info=True, **safe
        )
    except Exception as error:  # whatever transformers raises
        problem = f"not a causal language model with its tokenizer ({first_line(error)})"
        raise UserError(f"{flag}: {folder}: {problem}") from None
    trained_as = model.config.architectures or []
    is_other = trained_as and type(model).__name__.lower() not in map(str.lower, trained_as)
    if report["missing_keys"] or is_other or model.config.is_encoder_decoder:
        names = ", ".join(trained_as)
        raise UserError(f"{flag}: {folder}: holds a {names}, not a causal language model")
    symbols = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > symbols:
        sizes = f"the tokenizer has {len(tokenizer)} symbols and the model {symbols}"
        raise UserError(f"{flag}: {folder}: {sizes}: they do not belong together")
    return Found(model.eval(), tokenizer, digest_of_files(folder))


def attention_for(config: Any) -> Dict[str, str]:
    """What models of ``config`` must be made with. A name with a slash is code on a hub."""
    parts = [config, *(getattr(config, name, None) for name in getattr(config, "sub_configs", {}))]
    if any("/" in str(getattr(part, "_attn_implementation", None)) for part in parts):
        raise ValueError("its attention is code from elsewhere")
    # torch's own attention leaves this out.
    softcap = getattr(config, "attn_logit_softcapping", None)
    return {"attn_implementation": "eager"} if softcap else {}


def require_whole(folder: Path, flag: str) -> None:
    if not (folder / CONFIG_NAME).is_file():
        problem = f"not a directory of a Hugging Face model (no {CONFIG_NAME} in it)"
        raise UserError(f"{flag}: {folder}: {problem}")
    for name in INDICES:
        if (folder / name).is_file():
            parts = sorted(set(_parts(folder / name, flag)))
            missing = [part for part in parts if not (folder / part).is_file()]
            if missing:
                some = f"{missing[0]} is missing, one of {len(missing)} of {len(parts)} parts"
                raise UserError(f"{flag}: {folder}: half copied: {some}")
            return


def _parts(index: Path, flag: str) -> List[str]:
    try:
        return list(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{flag}: {index}: damaged ({error!r}); copy it again") from None


def digest_of_files(folder: Path) -> str:
    """SHA-256 of a line for each file: its own, two spaces, its name. Hidden ones do not count,
    such as the notes of a download."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    digest = hashlib.sha256()
    for name in sorted(names):
        if not any(part.startswith(".") for part in name.split("/")):
            digest.update(os.fsencode(f"{sha256_of(folder / name)}  {name}\n"))
    return digest.hexdigest()


def decoder_of(found: Found, folder: Path, data: Path, flag: str) -> "HuggingFaceDecoder":
    """For the symbols of ``data``, prepared with the tokenizer of ``folder``."""
    where = f"{flag}: {HUGGING_FACE}{folder}"
    ours = load_tokenizer(data)
    if not isinstance(ours, HuggingFaceTokenizer):
        remedy = f"fairseq-ebm prepare --tokenizer {HUGGING_FACE}{folder} makes such text"
        raise UserError(f"{where}: {data} was not prepared with this model's tokenizer; {remedy}")
    difference = ours.difference(of_transformers(found.tokenizer, folder, flag))
    if difference is not None:
        raise UserError(f"{where}: another tokenizer than that of {data}: {difference}")
    rows = found.model.get_input_embeddings().num_embeddings
    if ours.symbols.count > rows:
        sizes = f"the tokenizer has symbols up to {ours.symbols.count - 1} and the model {rows}"
        raise UserError(f"{where}: {sizes}: they do not belong together")
    return HuggingFaceDecoder(ours.dictionary, found.model, ours.symbols)


class HuggingFaceDecoder(FairseqIncrementalDecoder):
    """``model``: a causal language model of transformers."""

    def __init__(self, dictionary: Dictionary, model: Any, symbols: Symbols) -> None:
        super().__init__(dictionary)
        self.model, self.symbols = model, symbols
        self.adaptive_softmax = None
        self.register_buffer(
            "_read_as", torch.from_numpy(symbols.read_as(symbols.start)), persistent=False
        )
        never = torch.tensor(symbols.never, dtype=torch.long)
        self.register_buffer("_never", never, persistent=False)

    @property
    def has_known_output(self) -> bool:
        return self._rows is not None

    @cached_property
    def _rows(self) -> Optional[int]:
        """Of the model's output, if ``_logits_of`` has its logits: some models do more behind their
        output layer than we know, and are asked for their logits themselves, all at once."""
        count = min(8, self.symbols.count)
        tokens = torch.arange(FIRST, FIRST + count, device=self.device).unsqueeze(0)
        ids = self.read_as(tokens)
        try:
            with torch.inference_mode():
                theirs = self.model(input_ids=ids, use_cache=False).logits[0].float()
                ours = self._logits_of(self._body()(input_ids=ids, use_cache=False)[0][0])
        except (AttributeError, TypeError, RuntimeError):  # of another shape altogether
            return None
        is_known = ours.shape == theirs.shape and torch.allclose(ours, theirs, CLOSE, CLOSE)
        return theirs.size(-1) if is_known else None

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **more: Any) -> Any:
        """Moves to other devices; the precision is chosen in loading. Rotary positions stay in
        float32 then, which they need."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(fn(tensor.new_empty(0)).device)

        return super()._apply(move, *args, **more)

    @property
    def device(self) -> torch.device:
        return self._never.device

    @property
    def bytes_a_number(self) -> int:
        return int(next(self.model.parameters()).element_size())

    def read_as(self, tokens: Tensor) -> Tensor:
        """The model's own symbols for tokens (B, T). </s>, which stands before every text and
        between two, is what the model starts one with: what ends a text is drawn, not read."""
        return self._read_as[tokens]

    def forward(self, prev_output_tokens: Tensor, *args: Any, **more: Any) -> Tuple[Tensor, None]:
        """(B, T) -> logits (B, T, V)"""
        features, _ = self.extract_features(prev_output_tokens)
        return self.output_layer(features), None

    def extract_features(
        self, prev_output_tokens: Tensor, *args: Any, **unused: Any
    ) -> Tuple[Tensor, None]:
        """(B, T) -> what the model's output layer reads (B, T, d)"""
        return self.run(self.read_as(prev_output_tokens), use_cache=False)[0], None

    def run(self, ids: Tensor, cache: Any = None, **more: Any) -> Tuple[Tensor, Any]:
        """The model's own symbols (B, T) -> features (B, T, d), and its cache."""
        body = self._body() if self.has_known_output else self.model
        parameters = inspect.signature(type(body).forward).parameters
        name = next((name for name in CACHES if name in parameters), CACHES[0])
        if cache is not None:
            more[name] = cache
        output = body(input_ids=ids, **more)
        features = output.last_hidden_state if self.has_known_output else output.logits
        return features, getattr(output, name, None)

    def _body(self) -> Any:
        """All of the model but its output layer."""
        body = self.model.base_model
        return getattr(self.model, "model", None) if body is self.model else body

    def output_layer(self, features: Tensor, **unused: Any) -> Tensor:
        """(..., d) -> (..., V), float32"""
        flat = features.reshape(-1, features.size(-1))
        rows = features.size(-1) if self._rows is None else self._rows
        logits = torch.empty(len(flat), FIRST + rows, device=features.device)
        of_model = logits[:, FIRST:]
        found = flat if self._rows is None else self._logits_of(flat, of_model)
        if found is not of_model:
            of_model.copy_(found)
        ours = self._in_our_symbols(logits)
        return ours.view(*features.shape[:-1], ours.size(1))

    def _logits_of(self, features: Tensor, out: Optional[Tensor] = None) -> Tensor:
        """(A, d) -> (A, rows of the model), float32. In ``out`` where nothing is in the way: a copy
        would cost as much as a layer of the model."""
        output, config = self.model.get_output_embeddings(), self.model.config
        is_plain = type(output) is nn.Linear and output.bias is None
        if (
            is_plain
            and out is not None
            and output.weight.dtype == out.dtype
            and not torch.is_grad_enabled()
        ):
            logits = torch.mm(features, output.weight.t(), out=out)
        else:
            logits = output(features).float()
        # Cohere's and Granite's
        scale = getattr(config, "logit_scale", 1.0) / getattr(config, "logits_scaling", 1.0)
        logits = logits if scale == 1 else logits * scale
        cap = getattr(config, "final_logit_softcapping", None)  # Gemma's
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def _in_our_symbols(self, logits: Tensor) -> Tensor:
        """(A, 4 + rows of the model), of which the first 4 are still to be written -> (A, V)"""
        symbols, specials = self.symbols, self.dictionary
        ours, never = logits[:, : FIRST + symbols.count], FIRST + self._never
        beyond = [logits[:, never], logits[:, FIRST + symbols.count :]]
        of_padding = torch.cat(beyond, dim=-1).logsumexp(dim=-1)
        ours[:, :FIRST] = -torch.inf
        for name, number in ((specials.eos(), symbols.end), (specials.unk(), symbols.unknown)):
            if number is not None:
                ours[:, name] = ours[:, FIRST + number]
                ours[:, FIRST + number] = -torch.inf
        ours[:, never] = -torch.inf
        ours[:, specials.pad()] = of_padding
        return ours

    def max_positions(self) -> float:
        return getattr(self.model.config, "max_position_embeddings", None) or float("inf")
