"""Building blocks shared by the encoders and decoders: attention behind one function, GEGLU MLP, point embedding."""

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-5

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Causal self-attention as an argument of a decoder's layers: queries, keys and values (..., H, D) -> (..., H * D)."""


@functools.cache
def _flash_attn():
    """The flash-attn package's attention function, or None where the package is not installed."""
    try:
        from flash_attn import flash_attn_func
    except ImportError:
        return None
    return flash_attn_func


def attention(q: Tensor, k: Tensor, v: Tensor, causal: bool = False) -> Tensor:
    """Softmax attention, scaled by 1/sqrt(D).

    flash-attn runs it on CUDA in half precision where the package is installed; torch's own
    `scaled_dot_product_attention` everywhere else.

    Args:
        q: (B, H, T, D) queries.
        k, v: (B, H, S, D) keys and values.
        causal: query t sees keys 0 .. S - T + t: the queries are the last T of S positions.

    Returns:
        (B, H, T, D).
    """
    flash = _flash_attn() if q.is_cuda and q.dtype in (torch.float16, torch.bfloat16) else None
    if flash is not None:
        out = flash(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), causal=causal)
        return out.transpose(1, 2)
    queries, keys = q.shape[2], k.shape[2]
    if not causal or queries == 1:
        return F.scaled_dot_product_attention(q, k, v)
    if queries == keys:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    seen = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`Attend` of a batch of equally long sequences: (B, T, H, D) each -> (B, T, H * D)."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # (B, H, T, D)
    return merge_heads(attention(q, k, v, causal=True))


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, T, H*D) -> (B, H, T, D)."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, H*D)."""
    return x.transpose(1, 2).flatten(2)


class CrossAttention(nn.Module):
    """Multi-head attention from one sequence to another."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x (B, T, C) attends to context (B, S, C)."""
        q = split_heads(self.q_proj(x), self.num_heads)
        k = split_heads(self.k_proj(context), self.num_heads)
        v = split_heads(self.v_proj(context), self.num_heads)
        return self.out_proj(merge_heads(attention(q, k, v)))


class GEGLU(nn.Module):
    """First half of the channels times the GELU (erf) of the second (Shazeer 2020, arXiv 2002.05202)."""

    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.chunk(2, dim=-1)
        return value * F.gelu(gate)


class GEGLUMLP(nn.Module):
    """Linear to 2 x 4 x dim, GEGLU, Linear back."""

    def __init__(self, dim: int, expansion: int = 4):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, 2 * expansion * dim), GEGLU(), nn.Linear(expansion * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class CrossAttentionBlock(nn.Module):
    """Pre-norm cross-attention block: x + attn(ln1(x), context), then x + mlp(ln2(x))."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.ln1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.att = CrossAttention(dim, num_heads)
        self.ln2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = GEGLUMLP(dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = x + self.att(self.ln1(x), context)
        return x + self.mlp(self.ln2(x))


class SelfAttentionBlock(nn.Module):
    """Pre-norm self-attention block among all positions; its MLP is half as wide as the cross-attention block's."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.ln1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.att = CrossAttention(dim, num_heads)
        self.ln2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = GEGLUMLP(dim, expansion=2)
        for last in (self.att.out_proj, self.mlp.net[-1]):
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, C) -> (B, T, C)."""
        normed = self.ln1(x)
        x = x + self.att(normed, normed)
        return x + self.mlp(self.ln2(x))


class PointEmbed(nn.Module):
    """Fourier features of a point (NeRF, arXiv 2003.08934, eq. 4, and the point itself), then a Linear layer."""

    NUM_FREQUENCIES = 8

    def __init__(self, dim: int):
        super().__init__()
        self.mlp = nn.Linear(3 * 2 * self.NUM_FREQUENCIES + 3, dim)

    def forward(self, points: Tensor) -> Tensor:
        """points (B, N, 3) in [-1, 1] -> (B, N, dim)."""
        # In float32 whatever the model's precision: the highest frequency turns 64 times over the unit cube's side.
        points = points.float()
        frequencies = math.pi * 2.0 ** torch.arange(self.NUM_FREQUENCIES, device=points.device)
        angles = (points.unsqueeze(-1) * frequencies).flatten(-2)  # (B, N, 24): x's eight, y's, z's
        features = torch.cat([angles.sin(), angles.cos(), points], dim=-1)  # (B, N, 51)
        return self.mlp(features.to(self.mlp.weight.dtype))
