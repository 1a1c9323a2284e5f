"""Attention within sequences that lie one after another in one row, so that nothing is computed on padding.

A mesh's sequence is its condition tokens, BOS and its own tokens; meshes of any length share a batch.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.model.layers import merge_heads, split_heads

BLOCK = 128  # queries that the CPU computes at a time
# Probabilities that the CPU keeps for the backward pass, an attention layer: 256 MiB in bf16. Beyond, it computes anew.
KEPT_PROBABILITIES = 2**27


def packed_attention(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], num_heads: int) -> Tensor:
    """Causal attention within each of the sequences that q, k and v consist of.

    flash-attn's varlen kernel on CUDA in half precision where that package is installed; elsewhere on CUDA torch's
    attention on sequences padded for it alone; on the CPU `BlockedAttention`.

    Args:
        q, k, v: (N, H*D).
        lengths: of the sequences, which add up to N.

    Returns:
        (N, H*D).
    """
    assert sum(lengths) == len(q)
    if q.device.type == "cpu":
        return BlockedAttention.apply(q, k, v, tuple(lengths), num_heads)
    flash = _flash_varlen() if q.dtype in (torch.float16, torch.bfloat16) else None
    if flash is not None:
        return _by_flash(flash, q, k, v, lengths, num_heads)
    return _by_padding(q, k, v, lengths, num_heads)


def _flash_varlen() -> Any:
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return None
    return flash_attn_varlen_func


def _by_flash(flash: Any, q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], num_heads: int) -> Tensor:
    ends = F.pad(torch.tensor(lengths).cumsum(0), (1, 0)).to(q.device, torch.int32, non_blocking=True)
    heads = (x.unflatten(-1, (num_heads, -1)) for x in (q, k, v))  # (N, H, D)
    return flash(*heads, ends, ends, max(lengths), max(lengths), causal=True).flatten(1)


def _by_padding(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], num_heads: int) -> Tensor:
    """Padding is on the right, so no query of a sequence sees it."""
    parts = (torch.nn.utils.rnn.pad_sequence(x.split(list(lengths)), batch_first=True) for x in (q, k, v))
    q, k, v = (split_heads(x, num_heads) for x in parts)  # (B, H, T, D)
    out = merge_heads(F.scaled_dot_product_attention(q, k, v, is_causal=True))
    return torch.cat([row[:length] for row, length in zip(out, lengths, strict=True)])


class BlockedAttention(torch.autograd.Function):
    """Causal attention from oneDNN's matrix products, a block of queries of one sequence at a time.

    In bf16 three to four times as fast as torch's own CPU kernel, whose products run at a tenth of the speed that
    plain ones reach; keys beyond a block are not computed with. Logits and sums are float32, as in that kernel.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, lengths: tuple[int, ...], num_heads: int) -> Tensor:
        q, k, v = (_heads_first(x, num_heads) for x in (q, k, v))  # (H, N, D)
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
        grad = _heads_first(grads[0], len(q))
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
        return *(_heads_last(x.to(q.dtype)) for x in results), None, None


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


def _heads_first(x: Tensor, num_heads: int) -> Tensor:
    """(N, H*D) -> (H, N, D), contiguous."""
    return x.unflatten(-1, (num_heads, -1)).transpose(0, 1).contiguous()


def _heads_last(x: Tensor) -> Tensor:
    """(H, N, D) -> (N, H*D)."""
    return x.transpose(0, 1).flatten(1)
