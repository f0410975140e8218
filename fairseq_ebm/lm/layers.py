"""fairseq's transformer layers with an attention of our own, which knows about shared prefixes.

Everything in a layer but attention works on each position alone, so fairseq's own modules do it.
Decoder and encoder layers have the same names for these modules, so both work. Gradients and
dropout are as in any module: a ``Layer`` made while gradients are enabled passes them on.
"""

from typing import Any, List, Optional, Tuple

import torch
import torch.nn.functional as F
from fairseq.models.transformer import TransformerDecoderBase
from torch import Tensor, nn

Cache = Tuple[Tensor, Tensor]  # of W prefixes: keys (W, h, d_h, S) and values (W, h, S, d_h)


def is_supported(decoder: nn.Module) -> bool:
    """Plain decoder-only transformers, whatever their norms, embeddings, positions and softmax."""
    extras = ("c_attn", "attn_ln", "ffn_layernorm", "w_resid")
    return isinstance(decoder, TransformerDecoderBase) and all(
        getattr(layer, "encoder_attn", True) is None
        and not getattr(layer.self_attn, "use_xformers", False)
        and layer.self_attn.bias_k is None
        and not layer.self_attn.add_zero_attn
        and all(getattr(layer, extra, None) is None for extra in extras)
        for layer in decoder.layers
    )


def layers_of(decoder: Any) -> "List[Layer]":
    return [Layer(layer) for layer in decoder.layers]


def positions(decoder: Any, first: int, count: int) -> Optional[Tensor]:
    """Embeddings (count, d) of the positions from ``first`` on, or None if the decoder has none.

    fairseq numbers positions by the inputs, and any inputs but padding will do.
    """
    if decoder.embed_positions is None:
        return None
    device = next(decoder.parameters()).device
    stand_in = torch.full((1, first + count), decoder.padding_idx + 1, device=device)
    return decoder.embed_positions(stand_in)[0, first:]


def embed(decoder: Any, tokens: Tensor, at: Optional[Tensor]) -> Tensor:
    """Tokens (..., S), with ``at``, the result of ``positions`` (S, d) -> (..., S, d)."""
    x = decoder.embed_scale * decoder.embed_tokens(tokens)
    if decoder.project_in_dim is not None:
        x = decoder.project_in_dim(x)
    if at is not None:
        x = x + at.to(x)
    if decoder.layernorm_embedding is not None:
        x = decoder.layernorm_embedding(x)
    return decoder.dropout_module(x)


def finish(decoder: Any, x: Tensor) -> Tensor:
    """What follows the last layer: (..., d) -> (..., d of the output)."""
    if decoder.layer_norm is not None:
        x = decoder.layer_norm(x)
    if decoder.project_out_dim is not None:
        x = decoder.project_out_dim(x)
    return x


class Layer:
    """A layer's modules, with its three input projections joined into one."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        attention = layer.self_attn
        self.heads, self.width = attention.num_heads, attention.head_dim
        self._attention_dropout = attention.dropout_module
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        scaling = (attention.scaling, 1.0, 1.0)
        self.weight = torch.cat([p.weight * s for p, s in zip(projections, scaling)])
        self.bias = None
        if attention.q_proj.bias is not None:
            self.bias = torch.cat([p.bias * s for p, s in zip(projections, scaling)])

    def _project(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """(..., d) -> scaled queries, keys and values, each (..., h, d_h)."""
        if self.layer.normalize_before:
            x = self.layer.self_attn_layer_norm(x)
        projected = F.linear(x, self.weight, self.bias)
        q, k, v = projected.unflatten(-1, (3, self.heads, self.width)).unbind(-3)
        return q, k, v

    def _after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """Residual connections, norms and the feed-forward part: x, attended (..., d)."""
        layer = self.layer
        x = x + layer.dropout_module(layer.self_attn.out_proj(attended))
        if not layer.normalize_before:
            x = layer.self_attn_layer_norm(x)
        residual = x
        if layer.normalize_before:
            x = layer.final_layer_norm(x)
        x = layer.activation_dropout_module(layer.activation_fn(layer.fc1(x)))
        x = residual + layer.dropout_module(layer.fc2(x))
        if not layer.normalize_before:
            x = layer.final_layer_norm(x)
        return x

    def prefill(self, x: Tensor, last_position_only: bool = False) -> Tuple[Tensor, Cache]:
        """(W, S, d) -> the same after this layer, or only its last position, and the cache."""
        q, k, v = (part.transpose(1, 2) for part in self._project(x))  # (W, h, S, d_h)
        if last_position_only:
            x, q = x[:, -1:], q[:, :, -1:]
        dropout = self._attention_dropout.p if self._attention_dropout.training else 0.0
        attended = F.scaled_dot_product_attention(
            q, k, v, is_causal=not last_position_only, dropout_p=dropout, scale=1.0
        )
        cache = (k.transpose(2, 3).contiguous(), v.contiguous())
        return self._after_attention(x, attended.transpose(1, 2).flatten(2)), cache

    def extend(self, x: Tensor, shared: Cache) -> Tensor:
        """All C positions of M continuations of each prefix at once: (W, M, C, d) -> same."""
        q, k, v = (part.permute(0, 3, 1, 2, 4) for part in self._project(x))  # (W, h, M, C, d_h)
        keys, values = shared
        prefix_length, length = values.size(2), q.size(3)
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)

        on_prefix = torch.matmul(q.flatten(2, 3), keys).unflatten(2, q.shape[2:4])
        on_own = torch.matmul(q, k.transpose(3, 4)).masked_fill(later, float("-inf"))
        scores = torch.cat([on_prefix, on_own], dim=-1)  # (W, h, M, C, S + C)
        shares = torch.softmax(scores, dim=-1, dtype=torch.float32).to(x)
        shares = self._attention_dropout(shares)

        attended = torch.matmul(shares[..., :prefix_length].flatten(2, 3), values)
        attended = attended.unflatten(2, q.shape[2:4])
        attended = attended + torch.matmul(shares[..., prefix_length:], v)
        return self._after_attention(x, attended.permute(0, 2, 3, 1, 4).flatten(3))

    def step(self, x: Tensor, shared: Cache, own: Tensor, t: int) -> Tensor:
        """x (R, d), R = W * m; ``own`` keys and values (2, R, h, T, d_h), filled up to step t."""
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
