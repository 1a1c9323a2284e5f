"""Attention within sequences that lie one after another in one row, so that nothing is computed on padding.

A mesh's sequence is its condition tokens, BOS and its own tokens; meshes of any length share a batch.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.model.layers import merge_heads

BLOCK = 128  # queries that the CPU computes at a time
# Probabilities that the CPU keeps for the backward pass, an attention layer: 256 MiB in bf16; more are recomputed.
KEPT_PROBABILITIES = 2**27


class Packing:
    """Which sequence each of N rows belongs to, and how to lay them out as a padded batch and back.

    Attributes:
        row, number: (N,) the sequence of each, and its place in it.
        shape: (B, T), sequences and the longest one's length.
        ends: (B + 1,) int32, 0 and where each sequence ends.

    Args:
        lengths: of the sequences, which lie one after the other.
        device: where the rows are.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device):
        count = np.asarray(lengths, np.int64)
        row = np.repeat(np.arange(len(count)), count)
        number = np.arange(len(row)) - np.repeat(count.cumsum() - count, count)
        self.shape = (len(count), int(count.max(initial=0)))
        self.row, self.number = torch.from_numpy(np.stack([row, number])).to(device)
        self.places = self.row * self.shape[1] + self.number
        self.ends = torch.from_numpy(np.append(0, count.cumsum()).astype(np.int32)).to(device)

    def pad(self, x: Tensor, value: float = 0) -> Tensor:
        """(N, ...) -> (B, T, ...), `value` beyond each sequence's end."""
        table = x.new_full((self.shape[0] * self.shape[1], *x.shape[1:]), value)
        return table.index_copy(0, self.places, x).unflatten(0, self.shape)

    def rows(self, x: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...)."""
        return x.flatten(0, 1).index_select(0, self.places)


@functools.lru_cache(maxsize=4)  # every layer of a decoder asks for the same one
def packing(lengths: tuple[int, ...], device: torch.device) -> Packing:
    """The packing of these lengths on a device."""
    return Packing(lengths, device)


def packed_attention(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
    """Causal attention within each of the sequences that q, k and v consist of.

    On CUDA in half precision flash-attn's varlen kernel where that package is installed, else torch's own; on CUDA in
    float32 torch's attention on sequences padded for it alone; on the CPU `BlockedAttention`.

    Args:
        q, k, v: (N, H, D).
        lengths: of the sequences; they add up to N.

    Returns:
        (N, H*D).
    """
    assert sum(lengths) == len(q)
    if q.device.type == "cpu":
        return BlockedAttention.apply(q, k, v, tuple(lengths))
    if torch.is_autocast_enabled(q.device.type):
        q, k, v = (x.to(torch.get_autocast_dtype(q.device.type)) for x in (q, k, v))
    kernel = _varlen_kernel() if q.dtype in (torch.float16, torch.bfloat16) else None
    if kernel is None:
        return _by_padding(q, k, v, lengths)
    return _without_padding(kernel, q, k, v, lengths)


def _without_padding(kernel: Any, q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
    packed = packing(tuple(lengths), q.device)
    return kernel(q, k, v, packed.ends, packed.shape[1]).flatten(1)


@functools.cache
def _varlen_kernel() -> Any:
    """Causal attention (q, k, v, ends, longest) without padding, or None where neither package has it."""
    try:
        from flash_attn import flash_attn_varlen_func

        return lambda q, k, v, ends, longest: flash_attn_varlen_func(q, k, v, ends, ends, longest, longest, causal=True)
    except ImportError:
        pass
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return lambda q, k, v, ends, longest: varlen_attn(q, k, v, ends, ends, longest, longest, window_size=(-1, 0))


def _by_padding(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
    """Padding is on the right, so no query of a sequence sees it."""
    packed = packing(tuple(lengths), q.device)
    q, k, v = (packed.pad(x).transpose(1, 2) for x in (q, k, v))  # (B, H, T, D)
    return packed.rows(merge_heads(F.scaled_dot_product_attention(q, k, v, is_causal=True)))


class BlockedAttention(torch.autograd.Function):
    """Causal attention from oneDNN's matrix products, a block of queries of one sequence at a time.

    In bf16 three to four times as fast as torch's own CPU kernel, whose products run at a tenth of the speed that
    plain ones reach; keys beyond a block are not computed with. Logits and sums are float32, as in that kernel.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, lengths: tuple[int, ...]) -> Tensor:
        q, k, v = (_heads_first(x) for x in (q, k, v))  # (H, N, D)
        num_heads = len(q)
        keep = num_heads * sum(length * (length + BLOCK) // 2 for length in lengths) <= KEPT_PROBABILITIES
        q32, k32, kept = q.float() * q.shape[-1] ** -0.5, k.float(), []
        out = torch.empty_like(q)
        with torch.autocast("cpu", enabled=False):
            for first, start, end in _blocks(lengths):
                p = _probabilities(q32, k32, first, start, end).to(q.dtype)
                out[:, start:end] = p @ v[:, first:end]
                if keep:
                    kept.append(p)
        ctx.save_for_backward(q, k, v, *kept)
        ctx.lengths = lengths
        return _heads_last(out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *kept = ctx.saved_tensors
        scale = q.shape[-1] ** -0.5
        grad = _heads_first(grads[0].unflatten(-1, (len(q), -1)))
        dq, dk, dv = (torch.zeros_like(x, dtype=torch.float32) for x in (q, k, v))
        q32, k32 = (q, k) if kept else (q.float() * scale, k.float())
        for i, (first, start, end) in enumerate(_blocks(ctx.lengths)):
            p = kept[i] if kept else _probabilities(q32, k32, first, start, end).to(q.dtype)
            dp = grad[:, start:end] @ v[:, first:end].transpose(1, 2)
            ds = torch._softmax_backward_data(dp, p, -1, p.dtype)
            dq[:, start:end] = ds @ k[:, first:end]
            dk[:, first:end] += ds.transpose(1, 2) @ q[:, start:end]
            dv[:, first:end] += p.transpose(1, 2) @ grad[:, start:end]
        results = (dq.mul_(scale), dk.mul_(scale), dv)
        return *(x.to(q.dtype).transpose(0, 1) for x in results), None


def _blocks(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(start of the sequence, of the block of queries, its end), all in the packed row."""
    first = 0
    for length in lengths:
        for start in range(first, first + length, BLOCK):
            yield first, start, min(start + BLOCK, first + length)
        first += length


def _probabilities(q: Tensor, k: Tensor, first: int, start: int, end: int) -> Tensor:
    """(H, end - start, end - first) attention of queries start .. end - 1 to the keys from `first` on."""
    logits = q[:, start:end] @ k[:, first:end].transpose(1, 2)
    size = end - start
    unseen = torch.ones(size, size, dtype=torch.bool, device=q.device).triu(1)
    logits[..., start - first :].masked_fill_(unseen, -torch.inf)
    return logits.softmax(-1)


def _heads_first(x: Tensor) -> Tensor:
    """(N, H, D) -> (H, N, D), contiguous."""
    return x.transpose(0, 1).contiguous()


def _heads_last(x: Tensor) -> Tensor:
    """(H, N, D) -> (N, H*D)."""
    return x.transpose(0, 1).flatten(1)
