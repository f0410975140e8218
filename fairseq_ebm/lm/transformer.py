"""fairseq's transformer decoders, stepped by many samples that share their prefix.

The prefix is computed once; its keys and values are kept once and attended to by all samples of
the prefix in one matrix product. What each sample adds goes into caches of its own, allocated in
full at the start: nothing is copied, grown or reordered between steps.

Rows are samples, grouped by prefix: row = prefix * m + sample, R = W * m rows in all.
"""

from typing import Any, List, NamedTuple, Tuple

import torch
import torch.nn.functional as F
from fairseq.models.transformer import TransformerDecoderBase
from torch import Tensor, nn


def is_supported(decoder: nn.Module) -> bool:
    """Plain decoder-only transformers, whatever their norms, embeddings, positions and softmax."""
    return isinstance(decoder, TransformerDecoderBase) and all(
        getattr(layer, "encoder_attn", True) is None
        and not getattr(layer.self_attn, "use_xformers", False)
        and layer.self_attn.bias_k is None
        and not layer.self_attn.add_zero_attn
        and all(getattr(layer, extra, None) is None for extra in ("c_attn", "attn_ln"))
        and all(getattr(layer, extra, None) is None for extra in ("ffn_layernorm", "w_resid"))
        for layer in decoder.layers
    )


class Prefix(NamedTuple):
    """What is known of W prefixes: per layer keys (W, h, d_h, S) and values (W, h, S, d_h)."""

    caches: List[Tuple[Tensor, Tensor]]
    features: Tensor  # (W, d) of the last position, before the output layer


class TransformerStepper:
    """Runs a decoder's own modules, but for attention, which knows about shared prefixes."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder
        self.layers = [_Layer(layer) for layer in decoder.layers]

    def prefill(self, inputs: Tensor) -> Prefix:
        """Inputs (W, S): </s> and the prefix."""
        x = self._embed(inputs, first_position=0)  # (W, S, d)
        caches = []
        for i, layer in enumerate(self.layers):
            is_last = i == len(self.layers) - 1
            x, cache = layer.prefill(x, last_position_only=is_last)
            caches.append(cache)
        return Prefix(caches, self._finish(x[:, -1]))

    def begin(self, prefix: Prefix, samples: int, steps: int) -> "TransformerSamples":
        """``samples`` (m) samples of each prefix, of at most ``steps`` further inputs."""
        return TransformerSamples(self, prefix, samples, steps)

    def scores(self, features: Tensor) -> Tensor:
        """(A, d) -> (A, V): logits, or log-probabilities of an adaptive softmax."""
        if self.decoder.adaptive_softmax is not None:
            return self.decoder.adaptive_softmax.get_log_prob(features.unsqueeze(1), None)[:, 0]
        return self.decoder.output_layer(features)

    def bytes_per_row(self, steps: int) -> int:
        weight = next(self.decoder.parameters())
        vocabulary = len(self.decoder.dictionary)
        caches = 2 * len(self.layers) * self.decoder.embed_dim * steps * weight.element_size()
        return caches + 4 * 4 * vocabulary  # logits, weights and what drawing makes of them

    def _embed(self, tokens: Tensor, first_position: int) -> Tensor:
        """(A, S) tokens at positions first_position... -> (A, S, d)."""
        decoder = self.decoder
        x = decoder.embed_scale * decoder.embed_tokens(tokens)
        if decoder.project_in_dim is not None:
            x = decoder.project_in_dim(x)
        if decoder.embed_positions is not None:
            x = x + self._positions(first_position, tokens.size(1), tokens).to(x)
        if decoder.layernorm_embedding is not None:
            x = decoder.layernorm_embedding(x)
        return x

    def _positions(self, first: int, count: int, like: Tensor) -> Tensor:
        """(1, count, d): fairseq numbers positions from the inputs, so any but padding will do."""
        stand_in = like.new_full((1, first + count), self.decoder.padding_idx + 1)
        return self.decoder.embed_positions(stand_in)[:, first:]

    def _finish(self, x: Tensor) -> Tensor:
        if self.decoder.layer_norm is not None:
            x = self.decoder.layer_norm(x)
        if self.decoder.project_out_dim is not None:
            x = self.decoder.project_out_dim(x)
        return x


class TransformerSamples:
    """R = W * m samples under way."""

    def __init__(self, stepper: TransformerStepper, prefix: Prefix, m: int, steps: int) -> None:
        self.stepper = stepper
        self.prefix = prefix
        self.taken = 0
        keys = prefix.caches[0][0]
        windows, heads, width, self._prefix_length = keys.shape
        shape = (len(stepper.layers), 2, windows * m, heads, max(steps, 1), width)
        self._own = keys.new_empty(shape)  # keys and values of each layer
        self._positions = None
        if stepper.decoder.embed_positions is not None and steps > 0:
            tokens = torch.zeros(1, 1, dtype=torch.long, device=keys.device)
            positions = stepper._positions(self._prefix_length, steps, tokens)
            self._positions = positions[0].to(keys)  # (steps, d)

    def step(self, tokens: Tensor) -> Tensor:
        """The next token of each sample (R,) -> features (R, d) that tell the one after."""
        decoder, t = self.stepper.decoder, self.taken
        x = decoder.embed_scale * decoder.embed_tokens(tokens.unsqueeze(1)).squeeze(1)
        if decoder.project_in_dim is not None:
            x = decoder.project_in_dim(x)
        if self._positions is not None:
            x = x + self._positions[t]
        if decoder.layernorm_embedding is not None:
            x = decoder.layernorm_embedding(x)
        for layer, shared, own in zip(self.stepper.layers, self.prefix.caches, self._own):
            x = layer.step(x, shared, own, t)
        self.taken += 1
        return self.stepper._finish(x)


class _Layer:
    """A decoder layer's modules, its three input projections made one."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        attention = layer.self_attn
        self.heads, self.width = attention.num_heads, attention.head_dim
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        scaling = (attention.scaling, 1.0, 1.0)
        self.weight = torch.cat([p.weight * s for p, s in zip(projections, scaling)]).detach()
        self.bias = None
        if attention.q_proj.bias is not None:
            self.bias = torch.cat([p.bias * s for p, s in zip(projections, scaling)]).detach()

    def _project(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """(..., d) -> queries, scaled already, keys and values, each (..., h, d_h)."""
        if self.layer.normalize_before:
            x = self.layer.self_attn_layer_norm(x)
        projected = F.linear(x, self.weight, self.bias)
        q, k, v = projected.unflatten(-1, (3, self.heads, self.width)).unbind(-3)
        return q, k, v

    def _after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """Residual connections, norms and the feed-forward part: x, attended (..., d)."""
        layer = self.layer
        x = x + layer.self_attn.out_proj(attended)
        if not layer.normalize_before:
            x = layer.self_attn_layer_norm(x)
        residual = x
        if layer.normalize_before:
            x = layer.final_layer_norm(x)
        x = residual + layer.fc2(layer.activation_fn(layer.fc1(x)))
        if not layer.normalize_before:
            x = layer.final_layer_norm(x)
        return x

    def prefill(self, x: Tensor, last_position_only: bool) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        """(W, S, d) -> the same after this layer, or only its last position; and the cache."""
        q, k, v = (part.transpose(1, 2) for part in self._project(x))  # (W, h, S, d_h)
        if last_position_only:
            x, q = x[:, -1:], q[:, :, -1:]
        attended = F.scaled_dot_product_attention(
            q, k, v, is_causal=not last_position_only, scale=1.0
        )
        cache = (k.transpose(2, 3).contiguous(), v.contiguous())
        return self._after_attention(x, attended.transpose(1, 2).flatten(2)), cache

    def step(self, x: Tensor, shared: Tuple[Tensor, Tensor], own: Tensor, t: int) -> Tensor:
        """x (R, d); ``shared`` keys (W, h, d_h, S) and values (W, h, S, d_h) of the prefixes;
        ``own`` (2, R, h, T, d_h) of the samples, filled up to step t."""
        q, k, v = self._project(x)  # (R, h, d_h)
        own_keys, own_values = own
        own_keys[:, :, t] = k
        own_values[:, :, t] = v
        keys, values = shared
        windows, heads, _, prefix_length = keys.shape
        m = q.size(0) // windows
        grouped = q.view(windows, m, heads, self.width).transpose(1, 2)  # (W, h, m, d_h)

        on_prefix = torch.matmul(grouped, keys)  # (W, h, m, S)
        # Row times matrix: matrix times column is the same product, several times slower on CPUs.
        on_own = torch.matmul(q.unsqueeze(2), own_keys[:, :, : t + 1].transpose(2, 3))
        on_own = on_own.view(windows, m, heads, t + 1).transpose(1, 2)
        shares = torch.softmax(torch.cat([on_prefix, on_own], dim=-1), dim=-1)

        attended = torch.matmul(shares[..., :prefix_length], values).transpose(1, 2)
        own_shares = shares[..., prefix_length:].transpose(1, 2).reshape(-1, heads, 1, t + 1)
        own_attended = torch.matmul(own_shares, own_values[:, :, : t + 1])  # (R, h, 1, d_h)
        attended = attended.reshape(-1, heads, self.width) + own_attended.squeeze(2)
        return self._after_attention(x, attended.flatten(1))
