"""Keys and values of several sequences of different lengths, and attention to them.

    cache = SlotCache(layers, slots, heads, head_dim, like=x)
    cache.clear(slot); cache.reserve(capacity)
    out = cache.attend_chunk(layer, slot, q, k, v)       # (T, H, D): T new positions of one slot; then
    cache.filled(slot, T)
    out = cache.attend(layer, rows, q, k, v)             # (B, H, D): one new position of each slot in rows; then
    cache.advance(rows)

Nothing is copied but what is new, and nothing in here is special to one transformer: rotary positions are applied to q
and k before.
"""

import functools
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.model.layers import attention

# On a GPU attention spans whole blocks of positions, so that a captured step serves many lengths.
GPU_BLOCK = 512


class Rows:
    """Which slots a step runs: their numbers on the host and on the device, made once and used while they run."""

    def __init__(self, slots: list[int], total: int, device: torch.device):
        self.slots = slots
        self.index = torch.tensor(slots, dtype=torch.long, device=device)  # (B,)
        self.all = len(slots) == total


class SlotCache:
    """Keys and values of every layer, allocated once for what the sequences may need.

    Attributes:
        lengths: (slots,) positions filled so far, on the device; `host_lengths` is the same on the host.
        capacity: positions that a slot has room for.
    """

    def __init__(self, layers: int, slots: int, heads: int, head_dim: int, like: Tensor):
        self.layers, self.slots, self.heads, self.head_dim, self.like = layers, slots, heads, head_dim, like
        self.capacity = 0
        self.host_lengths = np.zeros(slots, np.int64)
        self.lengths = torch.zeros(slots, dtype=torch.long, device=like.device)
        self.buffers: list[Tensor] = []  # a layer: (slots, 2, H, capacity, D), keys and values

    def reserve(self, capacity: int) -> None:
        """Room for so many positions a slot. Allocates at first; grows, by copying, only when a later need is larger."""
        if capacity <= self.capacity:
            return
        used = int(self.host_lengths.max(initial=0))
        for layer in range(self.layers):
            buffer = self.like.new_empty(self.slots, 2, self.heads, capacity, self.head_dim)
            if used:
                buffer[:, :, :, :used] = self.buffers[layer][:, :, :, :used]
            if layer < len(self.buffers):
                self.buffers[layer] = buffer
            else:
                self.buffers.append(buffer)
        self.capacity = capacity

    def clear(self, slot: int) -> None:
        """Empty a slot."""
        self.host_lengths[slot] = 0
        self.lengths[slot] = 0

    def filled(self, slot: int, count: int) -> None:
        """So many more positions of a slot have been given to every layer."""
        self.host_lengths[slot] += count
        self.lengths[slot] += count

    def advance(self, rows: Rows) -> None:
        """One more position of each slot has been given to every layer."""
        self.host_lengths[rows.slots] += 1
        if rows.all:
            self.lengths += 1
        else:
            self.lengths[rows.index] += 1

    def attend_chunk(self, layer: int, slot: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal attention of T new positions of one slot, (T, H, D) each, to it all -> (T, H, D)."""
        start = int(self.host_lengths[slot])
        end = start + len(q)
        assert end <= self.capacity
        buffer = self.buffers[layer][slot]
        buffer[0, :, start:end] = k.transpose(0, 1)
        buffer[1, :, start:end] = v.transpose(0, 1)
        keys, values = buffer[None, 0, :, :end], buffer[None, 1, :, :end]
        return attention(q.transpose(0, 1)[None], keys, values, causal=True)[0].transpose(0, 1)

    def attend(self, layer: int, rows: Rows, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of one new position of each slot in rows, (B, H, D) each, to all of its slot -> (B, H, D)."""
        raise NotImplementedError
