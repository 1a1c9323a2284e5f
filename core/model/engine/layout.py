"""The token decoder's weights laid out for generation, and its layers on one row a sequence or on a chunk of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from core.model.engine.cache import SlotCache, Step
from core.model.engine.linear import Projection

if TYPE_CHECKING:
    from core.model.decoder import DecoderLayer, MeshDecoder


class LayerLayout:
    """One layer: its matrices as projections, those of queries, keys and values as one."""

    def __init__(self, layer: DecoderLayer, slots: int, take: bool):
        attention = layer.self_attn
        self.heads = attention.num_heads
        self.qkv = Projection([attention.q_proj, attention.k_proj, attention.v_proj], slots, take)
        self.out = Projection([attention.out_proj], slots, take)
        self.fc1 = Projection([layer.fc1], slots, take)
        self.fc2 = Projection([layer.fc2], slots, take)
        self.norm1, self.norm2 = layer.self_attn_layer_norm, layer.final_layer_norm

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (N, H, D) of x (N, C)."""
        return self.qkv(x).view(len(x), 3, self.heads, -1).unbind(1)  # type: ignore[return-value]

    def after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """x (N, C) and its attention's output (N, C) -> the layer's output (N, C)."""
        norm1, norm2 = self.norm1, self.norm2
        x = F.layer_norm(self.out(attended).add_(x), norm1.normalized_shape, norm1.weight, norm1.bias, norm1.eps)
        hidden = self.fc2(self.fc1.relu(x)).add_(x)
        return F.layer_norm(hidden, norm2.normalized_shape, norm2.weight, norm2.bias, norm2.eps)


class DecoderLayout:
    """All of a token decoder.

    Args:
        decoder: in evaluation mode.
        slots: rows of a step.
        take: leave the decoder without the weights that are laid out anew.
    """

    def __init__(self, decoder: MeshDecoder, slots: int, take: bool):
        self.tokens = decoder.model.embd.weight.detach()  # (V, C)
        self.positions = decoder.model.embed_positions.weight.detach()  # (P, C)
        self.layers = [LayerLayout(layer, slots, take) for layer in decoder.model.layers]  # type: ignore[arg-type]
        self.head = Projection([decoder.lm_head], slots)

    def step(self, cache: SlotCache, step: Step, x: Tensor) -> Tensor:
        """One position of each row (B, C), embedded -> logits (B, V)."""
        for i, layer in enumerate(self.layers):
            x = layer.after_attention(x, cache.attend(i, step, *layer.split(x)))
        return self.head(x)

    def prefill(self, cache: SlotCache, slot: int, x: Tensor) -> None:
        """Fill a slot's cache with the next T positions (T, C), embedded."""
        for i, layer in enumerate(self.layers):
            q, k, v = layer.split(x)
            if i + 1 == len(self.layers):
                cache.write_chunk(i, slot, k, v)  # nothing reads what the last layer makes of these positions
            else:
                x = layer.after_attention(x, cache.attend_chunk(i, slot, q, k, v).flatten(1))
        cache.filled(slot, len(x))


def laid_out(decoder: MeshDecoder, slots: int, take: bool) -> DecoderLayout:
    """The decoder's layout: made anew, for its weights may have changed, unless it has none of its own any more."""
    if decoder.taken is not None:
        return decoder.taken
    layout = DecoderLayout(decoder, slots, take)
    if take:
        decoder.taken = layout
    return layout
