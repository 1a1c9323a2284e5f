"""DiT: the transformer that takes the noise from latents, conditioned on image tokens (PixArt-alpha's layout).

Parameter names are those of the reference's checkpoints. See diffusion.py for what is trained and sampled with it.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.model.layers import GEGLUMLP, CrossAttention, attention, merge_heads, split_heads

TIMESTEP_CHANNELS = 256
MAX_PERIOD = 10000
DIT_NORM_EPS = 1e-6

Residual = Literal["stream", "normed"]


@dataclass(frozen=True)
class DiTConfig:
    dit_hidden_dim: int = 1024
    """Width of the DiT."""
    dit_num_heads: int = 16
    """Attention heads of the DiT."""
    dit_num_layers: int = 24
    """Layers of the DiT."""
    dit_residual: Literal["auto", "stream", "normed"] = "auto"
    """What attention and MLP are added to: the stream as it is, as in the paper's equation, or (normed) that after norm
    and modulation, as the reference does; auto: normed for the reference's weights, stream for all others."""
    dit_pooled: bool = False
    """Add the mean condition token to the timestep's embedding: a short way from the image to every layer."""
    dit_position_std: float = 0.0
    """Spread of the fresh position embeddings; 0: 1 / sqrt(width), as published. A large one tells latent vectors
    apart from the first step on, where noise would drown a small one."""

    def __post_init__(self) -> None:
        for name in ("dit_hidden_dim", "dit_num_heads", "dit_num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}: at least 1 is needed")
        if self.dit_hidden_dim % self.dit_num_heads:
            raise ValueError(
                f"--dit_hidden_dim {self.dit_hidden_dim} is not divisible by --dit_num_heads {self.dit_num_heads}"
            )


def timestep_embedding(timesteps: Tensor) -> Tensor:
    """Sinusoids (B, 256) of timesteps (B,): 128 sines, then 128 cosines, of frequencies 1 to 1/10000."""
    half = TIMESTEP_CHANNELS // 2
    frequencies = torch.exp(-math.log(MAX_PERIOD) * torch.arange(half, device=timesteps.device) / half)
    angles = timesteps.float().unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class TimestepMLP(nn.Module):
    """Linear, SiLU, Linear on the timestep's sinusoids."""

    def __init__(self, dim: int):
        super().__init__()
        self.linear_1 = nn.Linear(TIMESTEP_CHANNELS, dim)
        self.linear_2 = nn.Linear(dim, dim)

    def forward(self, sinusoids: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(sinusoids)))


class SelfAttention(nn.Module):
    """Multi-head attention within a sequence, its queries, keys and values (in that order) from one projection."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv_proj = nn.Linear(dim, 3 * dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split_heads(part, self.num_heads) for part in self.qkv_proj(x).chunk(3, dim=-1))
        return self.out_proj(merge_heads(attention(q, k, v)))


class DiTLayer(nn.Module):
    """Self-attention, cross-attention and MLP, the first and last modulated by the timestep (DiT, arXiv 2212.09748)."""

    residual: Residual

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=DIT_NORM_EPS, elementwise_affine=False)
        self.attn1 = SelfAttention(dim, num_heads)
        self.attn2 = CrossAttention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=DIT_NORM_EPS, elementwise_affine=False)
        self.ff = GEGLUMLP(dim)
        self.scale_shift_table = nn.Parameter(torch.randn(6, dim) / dim**0.5)

    def forward(self, x: Tensor, condition: Tensor, modulation: Tensor) -> Tensor:
        """x (B, L, C), condition (B, S, C), modulation (B, 6, C): the timestep's, shared by all layers."""
        tables = (modulation + self.scale_shift_table).chunk(6, dim=1)  # six of (B, 1, C)
        shift_attention, scale_attention, gate_attention, shift_mlp, scale_mlp, gate_mlp = tables
        h = self.norm1(x) * (1 + scale_attention) + shift_attention
        x = self._kept(x, h) + gate_attention * self.attn1(h)
        x = x + self.attn2(x, condition)
        h = self.norm2(x) * (1 + scale_mlp) + shift_mlp
        return self._kept(x, h) + gate_mlp * self.ff(h)

    def _kept(self, stream: Tensor, normed: Tensor) -> Tensor:
        return stream if self.residual == "stream" else normed


class DiT(nn.Module):
    """Noisy latents, timesteps and condition tokens -> what the noise is computed from (epsilon or v).

    Args:
        config: width, depth, kind of residual.
        latent_size, latent_dim: the latent's vectors and their channels.
    """

    def __init__(self, config: DiTConfig, latent_size: int, latent_dim: int):
        super().__init__()
        dim = config.dit_hidden_dim
        self.checkpointing = False
        self.proj_in = nn.Linear(latent_dim, dim)
        self.pooled = config.dit_pooled
        position_std = config.dit_position_std or dim**-0.5
        self.pos_embed = nn.Parameter(torch.randn(1, latent_size, dim) * position_std)
        self.timestep_proj = TimestepMLP(dim)
        self.adaln_linear = nn.Linear(dim, 6 * dim)
        self.layers = nn.ModuleList(DiTLayer(dim, config.dit_num_heads) for _ in range(config.dit_num_layers))
        self.use_residual("normed" if config.dit_residual == "normed" else "stream")
        self.norm_out = nn.LayerNorm(dim, eps=DIT_NORM_EPS, elementwise_affine=False)
        self.scale_shift_table = nn.Parameter(torch.randn(2, dim) / dim**0.5)
        self.proj_out = nn.Linear(dim, latent_dim)

    def use_residual(self, residual: Residual) -> None:
        """What attention and MLP of every layer are added to."""
        for layer in self.layers:
            layer.residual = residual  # type: ignore[assignment]

    def forward(self, latents: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """latents (B, L, D), timesteps (B,), condition (B, S, C) -> (B, L, D)."""
        x = self.proj_in(latents) + self.pos_embed
        embedded = self.timestep_proj(timestep_embedding(timesteps).to(latents.dtype))  # (B, C)
        if self.pooled:
            embedded = embedded + condition.mean(1)
        modulation = self.adaln_linear(F.silu(embedded)).unflatten(-1, (6, -1))  # (B, 6, C)
        for layer in self.layers:
            if self.checkpointing and self.training:
                x = checkpoint(layer, x, condition, modulation, use_reentrant=False)
            else:
                x = layer(x, condition, modulation)
        shift, scale = (self.scale_shift_table + embedded.unsqueeze(1)).chunk(2, dim=1)  # (B, 1, C) each
        return self.proj_out(self.norm_out(x) * (1 + scale) + shift)
