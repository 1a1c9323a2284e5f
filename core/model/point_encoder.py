"""Point cloud -> latent of a fixed size, by one cross-attention block from queries to the embedded points; and back."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model.layers import LAYER_NORM_EPS, CrossAttentionBlock, PointEmbed


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

    def __post_init__(self):
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
        return self.linear(self.cross_att(self.queries(points), context))


COMPARED_POINTS = 512  # of each cloud, at most, in the loss


class PointDecoder(nn.Module):
    """Latent -> points of the surface: what the face decoder looks at where there is a latent and no input (images).

    Each latent vector gives its own few points, through an MLP that all share.
    """

    def __init__(self, config: PointEncoderConfig):
        super().__init__()
        dim = config.point_hidden_dim
        self.point_num = config.point_num
        each = -(-config.point_num // config.point_latent_size)
        self.place = nn.Parameter(torch.randn(config.point_latent_size, dim) / dim**0.5)
        self.fc1 = nn.Linear(config.point_latent_dim, dim)
        self.fc2 = nn.Linear(dim, dim)
        self.fc3 = nn.Linear(dim, 3 * each)

    def forward(self, latent: Tensor) -> Tensor:
        """latent (B, L, D) -> points (B, point_num, 3) in [-1, 1], float32."""
        x = F.gelu(self.fc1(latent) + self.place)
        x = self.fc3(F.gelu(self.fc2(x))).float().tanh()
        return x.unflatten(-1, (-1, 3)).flatten(1, 2)[:, : self.point_num]


def cloud_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean over a batch of the Chamfer distance (both ways' mean nearest distances, halved) of (B, N, 3) clouds."""
    a, b = (x[:, :: -(-x.shape[1] // COMPARED_POINTS)].float() for x in (a, b))
    with torch.no_grad():  # which point is nearest; only then how far it is, so that few distances have gradients
        distances = torch.cdist(a, b)
        of_b, of_a = distances.argmin(1), distances.argmin(2)
    to_a = (b - a.gather(1, of_b.unsqueeze(-1).expand_as(b))).square().sum(-1)
    to_b = (a - b.gather(1, of_a.unsqueeze(-1).expand_as(a))).square().sum(-1)
    return ((to_a + 1e-9).sqrt().mean() + (to_b + 1e-9).sqrt().mean()) / 2
