"""Point cloud -> latent of a fixed size: cross-attention from queries to the embedded points, and what may follow."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from core.model.layers import LAYER_NORM_EPS, CrossAttentionBlock, PointEmbed, SelfAttentionBlock


@dataclass(frozen=True)
class PointEncoderConfig:
    point_num: int = 8192
    """Points sampled on each mesh's surface."""
    point_hidden_dim: int = 1024
    """Width of the point encoder."""
    point_num_heads: int = 16
    """Attention heads of the point encoder."""
    point_latent_size: int = 2048
    """Vectors in the latent."""
    point_latent_dim: int = 64
    """Channels of each latent vector."""
    point_encoder_mode: Literal["embed", "downsample"] = "embed"
    """Queries: learned (embed), or points chosen by farthest-point sampling (downsample)."""
    kl_weight: float = 1e-8
    """Weight of the penalty 0.5 * sum(latent^2)."""
    point_num_layers: int = 0
    """Self-attention layers among the latent vectors after the cross-attention; 0: the published form."""
    point_decoder_layers: int = 0
    """Self-attention layers of the point decoder before each latent vector gives its points."""
    point_decoder_normals: bool = False
    """Decode a unit normal with each point."""
    point_decoder_num: int = 0
    """Points that the point decoder gives; 0: as many as point_num."""
    normals_weight: float = 0.05
    """Weight of 1 - |cos| between decoded normals and those of the nearest input points, beside the distance."""

    def __post_init__(self):
        for name in ("point_num_layers", "point_decoder_layers", "point_decoder_num", "normals_weight"):
            if not (value := getattr(self, name)) >= 0:
                raise ValueError(f"--{name} {value}: must not be negative")
        if self.point_hidden_dim % self.point_num_heads:
            raise ValueError(
                f"--point_hidden_dim {self.point_hidden_dim} is not divisible by "
                f"--point_num_heads {self.point_num_heads}"
            )
        if self.point_encoder_mode == "downsample" and self.point_num < self.point_latent_size:
            raise ValueError(
                f"--point_num {self.point_num} is less than --point_latent_size {self.point_latent_size}: "
                "--point_encoder_mode downsample chooses its queries among the points"
            )


def farthest_point_sample(points: Tensor, count: int, start: int = 0) -> Tensor:
    """Indices (B, count) of points each farthest from those chosen before it (Eldar et al. 1997).

    Args:
        points: (B, N, 3).
        count: how many to choose, at most N.
        start: index of the first one.
    """
    rows = torch.arange(points.shape[0], device=points.device)
    chosen = torch.empty(points.shape[0], count, dtype=torch.long, device=points.device)
    distance = torch.full(points.shape[:2], torch.inf, device=points.device)
    latest = torch.full_like(rows, start)
    for i in range(count):
        chosen[:, i] = latest
        to_latest = (points - points[rows, latest].unsqueeze(1)).square().sum(-1)  # (B, N)
        distance = torch.minimum(distance, to_latest)
        latest = distance.argmax(dim=1)
    return chosen


def self_attention_layers(count: int, dim: int, num_heads: int) -> nn.Sequential:
    """`count` pre-norm layers that change nothing at first, so that weights trained without them start from there."""
    return nn.Sequential(*(SelfAttentionBlock(dim, num_heads) for _ in range(count)))


class PointEncoder(nn.Module):
    """The encoder of the auto-regressive auto-encoder (EdgeRunner, arXiv 2409.18114, section 3.2)."""

    def __init__(self, config: PointEncoderConfig):
        super().__init__()
        self.config = config
        dim = config.point_hidden_dim
        if config.point_encoder_mode == "embed":
            self.query_embed = nn.Parameter(torch.randn(1, config.point_latent_size, dim) / dim**0.5)
        self.point_embed = PointEmbed(dim)
        self.ln = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.cross_att = CrossAttentionBlock(dim, config.point_num_heads)
        if config.point_num_layers:
            self.layers = self_attention_layers(config.point_num_layers, dim, config.point_num_heads)
        self.linear = nn.Linear(dim, config.point_latent_dim)

    def queries(self, points: Tensor) -> Tensor:
        """(B, L, C) from the points (B, N, 3)."""
        if self.config.point_encoder_mode == "embed":
            return self.query_embed.expand(points.shape[0], -1, -1)
        chosen = farthest_point_sample(points, self.config.point_latent_size)
        return self.point_embed(points.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 3)))

    def forward(self, points: Tensor) -> Tensor:
        """points (B, N, 3) in [-1, 1] -> latent (B, point_latent_size, point_latent_dim)."""
        context = self.ln(self.point_embed(points))
        x = self.cross_att(self.queries(points), context)
        return self.linear(self.layers(x) if self.config.point_num_layers else x)
