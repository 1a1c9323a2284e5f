"""Latent -> points of the surface, with normals, and how far they are from the cloud that the latent was made of."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model.point_encoder import PointEncoderConfig, self_attention_layers

COMPARED_POINTS = 512  # of each cloud, at most, in the loss


class DecodedPoints(NamedTuple):
    """The surface that is decoded from a latent.

    Attributes:
        points: (B, N, 3) float32 in [-1, 1].
        normals: (B, N, 3) float32, of unit length, of either sign; None where `point_decoder_normals` is off.
    """

    points: Tensor
    normals: Tensor | None = None


class PointDecoder(nn.Module):
    """Latent -> points of the surface, which the face decoder reads where there is a latent and no input (images).

    Each latent vector gives its own few points, through an MLP that all share; before that, the vectors may attend to
    one another (`point_decoder_layers`).
    """

    def __init__(self, config: PointEncoderConfig):
        super().__init__()
        self.config = config
        dim = config.point_hidden_dim
        self.count = config.point_decoder_num or config.point_num
        each = -(-self.count // config.point_latent_size)
        self.channels = 6 if config.point_decoder_normals else 3
        self.place = nn.Parameter(torch.randn(config.point_latent_size, dim) / dim**0.5)
        self.fc1 = nn.Linear(config.point_latent_dim, dim)
        if config.point_decoder_layers:
            self.layers = self_attention_layers(config.point_decoder_layers, dim, config.point_num_heads)
        self.fc2 = nn.Linear(dim, dim)
        self.fc3 = nn.Linear(dim, self.channels * each)

    def forward(self, latent: Tensor) -> DecodedPoints:
        """latent (B, L, D) -> N points, `point_decoder_num` or else `point_num`."""
        x = self.fc1(latent) + self.place
        x = F.gelu(self.layers(x) if self.config.point_decoder_layers else x)
        x = self.fc3(F.gelu(self.fc2(x))).float()
        x = x.unflatten(-1, (-1, self.channels)).flatten(1, 2)[:, : self.count]
        return DecodedPoints(x[..., :3].tanh(), F.normalize(x[..., 3:], dim=-1) if self.channels == 6 else None)


def cloud_distance(
    a: DecodedPoints, b: Tensor, normals: Tensor | None = None, normals_weight: float = 0.0, start: int = 0
) -> Tensor:
    """Mean over a batch of the Chamfer distance of two clouds (both ways' mean nearest distances, halved).

    Every k-th point of each cloud is compared, so that at most 512 are. Those that are not have no gradient: training
    has to vary `start`, or most of the decoded points would stay what they were at the beginning.

    Args:
        a: the decoded points, (B, N, 3), and their normals.
        b: (B, P, 3) the points that they should lie among.
        normals: (B, P, 3) at b, of either sign. Where a has normals too, the weighted mean of 1 - |cos| between nearest
            points, over both ways, is added.
        normals_weight: its weight.
        start: the first point compared, of those before the second one; any number, taken modulo k.
    """
    decoded, a_normals = every_kth(a.points, start), a.normals
    b = every_kth(b, start)
    with torch.no_grad():  # which point is nearest; only then how far it is, so that few distances have gradients
        distances = torch.cdist(decoded, b)
        of_b, of_a = distances.argmin(1), distances.argmin(2)
    to_a = (b - _gather(decoded, of_b)).square().sum(-1)
    to_b = (decoded - _gather(b, of_a)).square().sum(-1)
    distance = ((to_a + 1e-9).sqrt().mean() + (to_b + 1e-9).sqrt().mean()) / 2
    if a_normals is None or normals is None:
        return distance
    a_normals, b_normals = every_kth(a_normals, start), every_kth(normals, start)
    agreement = (a_normals * _gather(b_normals, of_a)).sum(-1).abs().mean()
    agreement = (agreement + (_gather(a_normals, of_b) * b_normals).sum(-1).abs().mean()) / 2
    return distance + normals_weight * (1 - agreement)


def every_kth(x: Tensor, start: int) -> Tensor:
    """(B, N, C) -> at most COMPARED_POINTS of its rows, float32, evenly apart, from `start` modulo their step on."""
    step = -(-x.shape[1] // COMPARED_POINTS)
    return x[:, start % step :: step].float()


def _gather(x: Tensor, index: Tensor) -> Tensor:
    """Rows (B, M, C) of x (B, N, C) by index (B, M)."""
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
