"""The face decoder's layers laid out for generation, on one row a sequence or on a chunk of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from core.model import native
from core.model.engine.cache import SlotCache
from core.model.engine.linear import SMALL_MATRIX, Panels, Projection
from core.model.engine.rows import Rows

if TYPE_CHECKING:
    from core.model.face_decoder import FaceDecoder, FaceLayer

# Positions of a condition and prefix that are computed at once.
PREFILL_CHUNK = 512
# Slots up to which steps are one call.
WHOLE_STEP_ROWS = 32

Angles = tuple[Tensor, Tensor]


class FaceLayerLayout:
    """One layer, its matrices as projections; with `whole`, as panels as well, for the kernel of whole steps."""

    def __init__(self, layer: FaceLayer, slots: int, take: bool, whole: bool):
        self.layer = layer
        linears = (layer.qkv, layer.out, layer.fc1, layer.fc2)
        self.panels = [Panels([linear]) for linear in linears] if whole else None
        slots = max(slots, 2) if whole else slots  # what serves the prefill alone is packed
        self.qkv = Projection([layer.qkv], slots, take)
        self.out = Projection([layer.out], slots, take)
        self.fc1 = Projection([layer.fc1], slots, take)
        self.fc2 = Projection([layer.fc2], slots, take)

    def heads(self, x: Tensor, angles: Angles) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (N, H, D) of x (N, C)."""
        return self.layer.split(self.qkv(self.layer.norm1(x)), angles)

    def after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """x (N, C) and its attention's output (N, C) -> the layer's output (N, C)."""
        x = self.out(attended) + x
        gate, value = self.fc1(self.layer.norm2(x)).chunk(2, dim=-1)
        return self.fc2(F.silu(gate) * value) + x


class FaceLayout:
    """All layers of a face decoder.

    Args:
        decoder: in evaluation mode.
        slots: rows of a step.
        take: leave the layers without their weights.
    """

    def __init__(self, decoder: FaceDecoder, slots: int, take: bool):
        if decoder.taken is None:
            whole = whole_step_pays(decoder, slots)
            made = [FaceLayerLayout(layer, slots, take, whole) for layer in decoder.layers]  # type: ignore[arg-type]
            decoder.taken = made if take else None
        self.layers: list[FaceLayerLayout] = decoder.taken or made
        self.norm = decoder.norm
        self.dtype = decoder.norm.weight.dtype

    def step(self, cache: SlotCache, rows: Rows, x: Tensor, angles: Angles) -> Tensor:
        """The next position (B, C) of each row -> its state (B, C); the cache is left for its owner to advance."""
        step = cache.step(rows)
        for i, layer in enumerate(self.layers):
            x = layer.after_attention(x, cache.attend(i, step, *layer.heads(x, angles)))
        return self.norm(x)

    def prefill(self, cache: SlotCache, slot: int, x: Tensor, angles: Angles, read: bool) -> Tensor:
        """Fill a slot's cache with the next T positions (T, C) -> their states (T, C).

        Args:
            read: whether the states are; else the last layer makes none, and they are those before it.
        """
        states = []
        for chunk, *turned in zip(*(part.split(PREFILL_CHUNK) for part in (x, *angles)), strict=True):
            for i, layer in enumerate(self.layers):
                q, k, v = layer.heads(chunk, tuple(turned))
                if i + 1 == len(self.layers) and not read:
                    cache.write_chunk(i, slot, k, v)
                else:
                    chunk = layer.after_attention(chunk, cache.attend_chunk(i, slot, q, k, v).flatten(1))
            cache.filled(slot, len(chunk))
            states.append(self.norm(chunk) if read else chunk)
        return torch.cat(states) if states else x


def whole_step_pays(decoder: FaceDecoder, slots: int) -> bool:
    """Whether a step is made of so little work that it is to be one call: a small float32 decoder and few rows."""
    weight, hidden = decoder.layers[0].fc1.weight, decoder.head.hidden[0].weight  # type: ignore[union-attr]
    config = decoder.config
    assert isinstance(weight, Tensor)
    assert isinstance(hidden, Tensor)
    small = slots <= WHOLE_STEP_ROWS and weight.numel() < SMALL_MATRIX
    even = all(size % native.LANES == 0 for size in (config.hidden_dim, decoder.bins, len(hidden)))
    fits = even and config.hidden_dim // config.num_heads in native.HEAD_DIMS
    on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
    return bool(small and fits and on_cpu and native.load() is not None)
