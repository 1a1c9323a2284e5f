"""The token decoder's weights laid out for generation, and its layers on one row a sequence or on a chunk of one."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from core.model import native
from core.model.engine.cache import SlotCache
from core.model.engine.linear import SMALL_MATRIX, Projection
from core.model.engine.rows import Rows

# Slots up to which steps are one call at all, and rows up to which that is the fastest way.
WHOLE_STEP_ROWS, FEW_ROWS = 32, 4

if TYPE_CHECKING:
    from core.model.decoder import DecoderLayer, MeshDecoder


class LayerLayout:
    """One layer: its matrices as projections, those of queries, keys and values as one."""

    def __init__(self, layer: DecoderLayer, slots: int, take: bool, plain: bool):
        attention = layer.self_attn
        self.heads = attention.num_heads
        self.qkv = Projection([attention.q_proj, attention.k_proj, attention.v_proj], slots, take, plain)
        self.out = Projection([attention.out_proj], slots, take, plain)
        self.fc1 = Projection([layer.fc1], slots, take, plain)
        self.fc2 = Projection([layer.fc2], slots, take, plain)
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
        plain = whole_step_pays(decoder, slots)
        self.layers = [LayerLayout(layer, slots, take, plain) for layer in decoder.model.layers]  # type: ignore[arg-type]
        self.head = Projection([decoder.lm_head], slots, plain=plain)
        self.whole_step = WholeStep(self) if plain else None

    def step(self, cache: SlotCache, rows: Rows, bound: int, ids: Tensor) -> Tensor:
        """The next position of each row, from the last id of each slot (slots,) -> logits (B, V) float32.

        Args:
            cache: is left for its owner to advance.
            rows: that are computed.
            bound: positions that masked attention spans.
            ids: (slots,).
        """
        # One product for many rows is faster by oneDNN, but comes out in other bits than for a single one: where all is
        # in float32, a sequence is to be the same in any batch.
        exact = cache.dtype == torch.float32
        if self.whole_step is not None and cache.native and (exact or len(rows.slots) <= FEW_ROWS):
            return self.whole_step(cache, rows, ids)
        step = cache.step(rows, bound)
        x = self.tokens[rows.of(ids)] + self.positions[rows.of(cache.lengths)]
        for i, layer in enumerate(self.layers):
            x = layer.after_attention(x, cache.attend(i, step, *layer.split(x)))
        return self.head(x).float()

    def prefill(self, cache: SlotCache, slot: int, x: Tensor) -> None:
        """Fill a slot's cache with the next T positions (T, C), embedded."""
        for i, layer in enumerate(self.layers):
            q, k, v = layer.split(x)
            if i + 1 == len(self.layers):
                cache.write_chunk(i, slot, k, v)  # nothing reads what the last layer makes of these positions
            else:
                x = layer.after_attention(x, cache.attend_chunk(i, slot, q, k, v).flatten(1))
        cache.filled(slot, len(x))


def whole_step_pays(decoder: MeshDecoder, slots: int) -> bool:
    """Whether a step is made of so little work that it is to be one call: a small float32 decoder and few rows."""
    weight, config = decoder.model.layers[0].fc1.weight, decoder.config  # type: ignore[union-attr]
    assert isinstance(weight, Tensor)
    small = slots <= WHOLE_STEP_ROWS and weight.numel() < SMALL_MATRIX
    fits = config.hidden_dim // config.num_heads in native.HEAD_DIMS and len(weight) % native.LANES == 0
    on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
    return bool(small and fits and on_cpu and native.load() is not None)


class WholeStep:
    """A step of all layers and the head in one call of the CPU's kernel.

    Args:
        layout: whose weights are plain; they are pointed at.
    """

    def __init__(self, layout: DecoderLayout):
        self.layout = layout
        self.function: Callable[..., int] | None = None
        self.capacity = 0

    def __call__(self, cache: SlotCache, rows: Rows, ids: Tensor) -> Tensor:
        """See `DecoderLayout.step`."""
        if cache.capacity != self.capacity:
            self._point_at(cache)
        assert self.function is not None
        lengths = cache.host_lengths[rows.host_index]
        logits = torch.empty(len(lengths), len(self.layout.tokens))
        pointers = (rows.host_index.ctypes.data, lengths.ctypes.data, ids.data_ptr(), logits.data_ptr())
        threads = torch.get_num_threads()
        status = self.function(ctypes.addressof(self.decoder), len(lengths), cache.capacity, threads, *pointers)
        assert status == 0
        return logits

    def _point_at(self, cache: SlotCache) -> None:
        self.function, self.capacity, layout = native.decoder_step(cache.dtype), cache.capacity, self.layout
        pointers: list[int] = []
        for i, layer in enumerate(layout.layers):
            for projection in (layer.qkv, layer.out, layer.fc1, layer.fc2):
                pointers += [projection.plain.data_ptr(), projection.bias.data_ptr()]  # type: ignore[union-attr]
            for norm in (layer.norm1, layer.norm2):
                pointers += [norm.weight.data_ptr(), norm.bias.data_ptr()]
            pointers += [cache.keys[i].data_ptr(), cache.values[i].data_ptr()]
        vocabulary, width = layout.tokens.shape
        hidden, heads = layout.layers[0].fc1.outputs, layout.layers[0].heads
        self.layers = native.structure([], pointers)
        tables = [table.data_ptr() for table in (layout.tokens, layout.positions, layout.head.plain)]  # type: ignore[union-attr]
        numbers = [width, hidden, heads, vocabulary, len(layout.layers)]
        self.decoder = native.structure(numbers, [*tables, ctypes.addressof(self.layers)])


def laid_out(decoder: MeshDecoder, slots: int, take: bool) -> DecoderLayout:
    """The decoder's layout: made anew, for its weights may have changed, unless it has none of its own any more."""
    if decoder.taken is not None:
        return decoder.taken
    layout = DecoderLayout(decoder, slots, take)
    if take:
        decoder.taken = layout
    return layout
