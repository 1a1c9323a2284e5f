"""Keys and values of several sequences of different lengths, and attention to them.

    cache = SlotCache(layers, slots, heads, head_dim, like=x)
    cache.reserve(capacity); cache.clear(slot)
    out = cache.attend_chunk(layer, slot, q, k, v)       # (T, H * D): T new positions of one slot; after all layers:
    cache.filled(slot, T)
    step = cache.step(rows)
    out = cache.attend(layer, step, q, k, v)             # (B, H * D): a new position of each row; after all layers:
    cache.advance(rows)

Only new positions are copied. With the layer and slot or step bound, both are the `Attend` of a decoder's layers.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core import kernels
from core.generation.rows import Rows
from core.model.layers import attention

# On a GPU attention spans whole blocks of positions, so that a captured step serves many lengths.
GPU_BLOCK = 512


class SlotRun(NamedTuple):
    """Rows [first, last) of a step, which are neighbouring slots from `slot` on, of the same length."""

    first: int
    last: int
    slot: int
    length: int


class CacheStep(NamedTuple):
    """Where one step writes and what it attends to, in all layers."""

    rows: Rows
    lengths: np.ndarray | None = None  # (B,)
    runs: Sequence[SlotRun] = ()
    bound: int = 0
    places: Tensor | None = None  # (B * H,) rows of the cache as a table of positions
    seen: Tensor | None = None  # (B, 1, 1, bound)


class SlotCache:
    """Keys and values of every layer, allocated once for the longest sequences.

    Attributes:
        lengths: (slots,) positions filled so far, on the device; `host_lengths` is the same on the host.
        capacity: positions that a slot has room for.
        masked: attend all rows at once under a mask (GPU), instead of rows of one length at a time (CPU, where a masked
            position costs as much as a seen one).
        native: the CPU's kernel, which attends all rows at once, or None where there is none.

    Args:
        like: a tensor of the type and on the device of the computation.
        dtype: of the cache, if another.
    """

    def __init__(
        self, layers: int, slots: int, heads: int, head_dim: int, like: Tensor, dtype: torch.dtype | None = None
    ):
        self.layers, self.slots, self.heads, self.head_dim, self.like = layers, slots, heads, head_dim, like
        self.dtype = dtype or like.dtype
        self.masked = like.device.type != "cpu"
        self.native = None if self.masked else kernels.attention(like.dtype, self.dtype, head_dim)
        self.scale = head_dim**-0.5
        self.capacity = 0
        self.host_lengths = np.zeros(slots, np.int64)
        self.lengths = torch.zeros(slots, dtype=torch.long, device=like.device)
        self.keys: list[Tensor] = []  # of each layer: (slots * H, capacity, D)
        self.values: list[Tensor] = []

    def reserve(self, capacity: int) -> None:
        """Make room for `capacity` positions a slot; what is there is copied if more is needed later."""
        if capacity <= self.capacity:
            return
        if not self.masked:  # pages that are not written to take no memory, see `_buffer`
            capacity = max(capacity, self.capacity * 3 // 2)
        shape = (self.slots * self.heads, capacity, self.head_dim)
        used = int(self.host_lengths.max(initial=0))
        for buffers in (self.keys, self.values):
            old = buffers[:]
            buffers[:] = [self._buffer(shape) for _ in range(self.layers)]
            for before, after in zip(old, buffers, strict=False):
                after[:, :used] = before[:, :used]
        self.capacity = capacity

    def _buffer(self, shape: tuple[int, ...]) -> Tensor:
        # Masked values are multiplied by zero, so they must be numbers. Pages that nothing reads stay untouched.
        make = torch.zeros if self.masked else torch.empty
        return make(shape, dtype=self.dtype, device=self.like.device)

    def clear(self, slot: int) -> None:
        """Empty a slot."""
        if self.masked:  # an invalid sequence's NaN times zero would stay NaN
            for buffer in (*self.keys, *self.values):
                buffer[self._heads(slot)] = 0
        self.host_lengths[slot] = 0
        self.lengths[slot] = 0

    def fork(self, source: int, target: int) -> None:
        """Overwrite the slot `target` with a copy of `source`."""
        used = int(self.host_lengths[source])
        for buffer in (*self.keys, *self.values):
            buffer[self._heads(target), :used] = buffer[self._heads(source), :used]
        self.host_lengths[target] = used
        self.lengths[target] = used

    def _heads(self, slot: int) -> slice:
        return slice(slot * self.heads, (slot + 1) * self.heads)

    def filled(self, slot: int, count: int) -> None:
        """Count the next positions of a slot, which every layer has written."""
        self.host_lengths[slot] += count
        self.lengths[slot] += count

    def advance(self, rows: Rows) -> None:
        """Count one more position of each running slot, which every layer has written."""
        self.count_on_device(rows)
        self.count_on_host(rows)

    def count_on_device(self, rows: Rows) -> None:
        """The part of `advance` that a captured step may hold."""
        rows.increment(self.lengths)

    def count_on_host(self, rows: Rows) -> None:
        """The other part."""
        self.host_lengths[rows.host_index] += 1

    def count_from_host(self) -> None:
        """Copy the lengths that were counted on the host."""
        self.lengths.copy_(torch.from_numpy(self.host_lengths))

    def attend_chunk(self, layer: int, slot: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal attention of T new positions of one slot, (T, H, D) each, to all of the slot -> (T, H * D)."""
        end = self.write_chunk(layer, slot, k, v)
        keys, values = (x[layer][self._heads(slot), :end].to(q.dtype) for x in (self.keys, self.values))
        out = attention(q.transpose(0, 1)[None], keys[None], values[None], causal=True)[0]  # (H, T, D)
        return out.transpose(0, 1).flatten(1)

    def write_chunk(self, layer: int, slot: int, k: Tensor, v: Tensor) -> int:
        """Write T new positions of one slot, (T, H, D) each; returns its length with them."""
        start = int(self.host_lengths[slot])
        end = start + len(k)
        assert end <= self.capacity
        self.keys[layer][self._heads(slot), start:end] = k.transpose(0, 1)
        self.values[layer][self._heads(slot), start:end] = v.transpose(0, 1)
        return end

    def bound(self, rows: Rows) -> int:
        """Positions that masked attention spans in the next step."""
        longest = int(self.host_lengths[rows.host_index].max()) + 1
        return min(-(-longest // GPU_BLOCK) * GPU_BLOCK, self.capacity)

    def step(self, rows: Rows, bound: int = 0) -> CacheStep:
        """Prepare the next step of these rows.

        Args:
            rows: the slots that it runs.
            bound: positions that masked attention spans, `bound(rows)` if 0.
        """
        if self.native:
            return CacheStep(rows, self.host_lengths[rows.host_index])
        if not self.masked:
            return CacheStep(rows, runs=self._runs(rows))
        assert rows.every
        bound = bound or self.bound(rows)
        lengths = self.lengths.unsqueeze(1)
        heads = torch.arange(self.slots * self.heads, device=lengths.device).view(self.slots, self.heads)
        seen = torch.arange(bound, device=lengths.device) <= lengths
        return CacheStep(rows, None, (), bound, (heads * self.capacity + lengths).flatten(), seen[:, None, None])

    def _runs(self, rows: Rows) -> list[SlotRun]:
        runs: list[SlotRun] = []
        lengths = self.host_lengths[rows.host_index].tolist()
        for row, (slot, length) in enumerate(zip(rows.slots, lengths, strict=True)):
            latest = runs[-1] if runs else None
            if latest and latest.length == length and latest.slot + row - latest.first == slot:
                runs[-1] = latest._replace(last=row + 1)
            else:
                runs.append(SlotRun(row, row + 1, slot, length))
        return runs

    def attend(self, layer: int, step: CacheStep, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of one new position of each row, (B, H, D) each, to all of its slot -> (B, H * D)."""
        keys, values = self.keys[layer], self.values[layer]
        if self.native:
            return self._attend_natively(keys, values, step, q, k, v)
        if self.masked:
            return self._attend_masked(keys, values, step, q, k, v)
        out = [self._attend_run(keys, values, run, q, k, v) for run in step.runs]
        return (out[0] if len(out) == 1 else torch.cat(out)).view(len(q), -1)

    def _attend_natively(
        self, keys: Tensor, values: Tensor, step: CacheStep, q: Tensor, k: Tensor, v: Tensor
    ) -> Tensor:
        assert self.native is not None
        assert step.lengths is not None
        rows, heads, dim = q.shape
        stride = q.stride(0)
        if not all(x.stride() == (stride, dim, 1) for x in (q, k, v)):
            q, k, v = torch.stack((q, k, v), dim=1).unbind(1)
            stride = 3 * heads * dim
        out = q.new_empty(rows, heads * dim)
        pointers = (x.data_ptr() for x in (q, k, v, keys, values))
        status = self.native(
            *(rows, heads, dim, self.capacity, stride, self.scale, torch.get_num_threads()),
            *pointers,
            step.rows.host_index.ctypes.data,
            step.lengths.ctypes.data,
            out.data_ptr(),
        )
        assert status == 0
        return out

    def _attend_run(self, keys: Tensor, values: Tensor, run: SlotRun, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # Two batched products read the cache faster than torch's fused attention does for single queries: by a quarter
        # in float32, four times in bfloat16.
        heads, end = self.heads, run.length + 1
        mine = slice(run.slot * heads, (run.slot + run.last - run.first) * heads)
        mine_q, mine_k, mine_v = (x[run.first : run.last].reshape(-1, 1, self.head_dim) for x in (q, k, v))
        keys, values = keys[mine, :end], values[mine, :end]
        keys[:, -1:], values[:, -1:] = mine_k, mine_v
        keys, values = keys.to(q.dtype), values.to(q.dtype)
        scores = torch.bmm(keys, (mine_q * self.scale).transpose(1, 2)).squeeze(2)  # (n * H, S)
        return torch.bmm(scores.softmax(-1).unsqueeze(1), values)  # (n * H, 1, D)

    def _attend_masked(self, keys: Tensor, values: Tensor, step: CacheStep, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        shape = (self.slots, self.heads, self.capacity, self.head_dim)
        flash = _flash_kvcache() if q.is_cuda and q.dtype in (torch.float16, torch.bfloat16) else None
        if flash is not None:
            caches = (keys.view(shape).transpose(1, 2), values.view(shape).transpose(1, 2))
            new_q, new_k, new_v = (x.unsqueeze(1) for x in (q, k, v))  # (B, 1, H, D)
            return flash(new_q, *caches, new_k, new_v, cache_seqlens=self.lengths.int(), causal=True).flatten(1)
        assert step.places is not None
        for buffer, new in ((keys, k), (values, v)):
            new = new.reshape(-1, self.head_dim).to(self.dtype)
            buffer.view(-1, self.head_dim).index_copy_(0, step.places, new)
        keys, values = (x.view(shape)[:, :, : step.bound].to(q.dtype) for x in (keys, values))
        return F.scaled_dot_product_attention(q.unsqueeze(2), keys, values, attn_mask=step.seen).flatten(1)


@functools.cache
def _flash_kvcache() -> Any:
    """flash-attn's attention to a cache, or None where the package is not installed."""
    try:
        from flash_attn import flash_attn_with_kvcache
    except ImportError:
        return None
    return flash_attn_with_kvcache
