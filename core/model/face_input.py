"""What the face decoder is shown before each step, as vectors: gate, open boundary, and points not yet covered."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.groups import Steps
from meto.surface import NUM_KINDS, NUM_PHASES, THIRD_PHASE, TURN_PHASE

POINT_FREQUENCIES = 5
POINT_HIDDEN, POINT_WIDTH = 64, 96
PLANE_FEATURES = 7  # of a point's plane
NUM_SCALARS = 6
NUM_COUNTS = 4  # of the faces left


def to_unit(grid: Tensor, bins: int) -> Tensor:
    """Grid coordinates -> centres of their cells in [-1, 1], float32."""
    return (grid.float() + 0.5) * (2 / bins) - 1


def fourier(x: Tensor, frequencies: int, lowest: int = 0) -> Tensor:
    """(..., C) in [-1, 1] -> (..., C * (2 * frequencies + 1)): x, and sines and cosines of 2^k * pi * x."""
    scale = math.pi * 2.0 ** torch.arange(lowest, lowest + frequencies, device=x.device)
    angles = (x.unsqueeze(-1) * scale).flatten(-2)
    return torch.cat([x, angles.sin(), angles.cos()], dim=-1)


def plane_features(offsets: Tensor, normals: Tensor) -> Tensor:
    """(..., 7) the products of the normal with itself, so of either sign, and the anchor's distance to the plane."""
    x, y, z = normals.unbind(-1)
    distance = (offsets * normals).sum(-1).abs()
    return torch.stack([x * x, y * y, z * z, x * y, x * z, y * z, distance], dim=-1)


class PointSet(nn.Module):
    """A set of points about an anchor -> a vector: each by itself through an MLP, then the largest of each channel."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(3 * (2 * POINT_FREQUENCIES + 1) + PLANE_FEATURES, POINT_HIDDEN)
        self.fc2 = nn.Linear(POINT_HIDDEN, width)
        self.empty = nn.Parameter(torch.zeros(width))

    def forward(self, offsets: Tensor, normals: Tensor, present: Tensor) -> Tensor:
        """offsets and normals (N, K, 3), present (N, K) bool -> (N, width)."""
        features = torch.cat([fourier(offsets, POINT_FREQUENCIES), plane_features(offsets, normals)], dim=-1)
        features = features.to(self.fc1.weight.dtype)
        features = self.fc2(F.gelu(self.fc1(features)))
        features = features.masked_fill(~present.unsqueeze(-1), -torch.inf).amax(1)
        return torch.where(present.any(1, keepdim=True), features, self.empty.to(features.dtype))


def count_features(wished: Tensor, written: Tensor, open_edges: Tensor) -> Tensor:
    """Features (N, NUM_COUNTS) of how many faces are left to be written, float32; zeros where no count is wished.

    Args:
        wished: (N,) faces that the mesh is to have; <= 0 is unknown.
        written: (N,) faces that it has.
        open_edges: (N,) half edges without a twin: closing them takes faces too.
    """
    known = wished > 0
    left = (wished - written).float()
    features = [
        torch.ones_like(left),
        left.sign() * left.abs().log1p() / 6,
        (left / wished.clamp(min=1)).clamp(-1, 1),
        ((left - open_edges) / 16).clamp(-1, 1),
    ]
    return torch.stack(features, dim=1).masked_fill(~known.unsqueeze(1), 0)


class StepInput(nn.Module):
    """The vector of each step, from the group before it and what is known of the unfinished mesh.

    Args:
        dim: channels of the vector.
        bins: of the grid.
        near, spread: input points shown, see `core.groups.StepConfig`.
        counted: the faces left of the wished count are shown too.
        open: vertices of the open boundary shown about each edge.
    """

    def __init__(self, dim: int, bins: int, near: int, spread: int, counted: bool = False, open: int = 0):
        super().__init__()
        self.bins, self.near, self.spread, self.counted, self.open = bins, near, spread, counted, open
        self.frequencies = max(1, math.ceil(math.log2(bins)))
        self.kind = nn.Embedding(NUM_KINDS + 1, dim)  # the last: nothing written yet
        self.phase = nn.Embedding(NUM_PHASES, dim)
        per_axis = 2 * self.frequencies + 1
        vertices = 7 * 3 * per_axis + 6 * 3 * per_axis + 7
        sets = (2 * POINT_WIDTH if near else 0) + (POINT_WIDTH if spread else 0)
        if near:
            self.near_set = PointSet(POINT_WIDTH)
        if spread:
            self.spread_set = PointSet(POINT_WIDTH)
        self.fc1 = nn.Linear(vertices + sets + NUM_SCALARS, 2 * dim)
        self.fc2 = nn.Linear(2 * dim, dim)
        if counted:  # zero at first, so that weights trained without it start from what they know
            self.counts = nn.Linear(NUM_COUNTS, 2 * dim, bias=False)
            nn.init.zeros_(self.counts.weight)
        if open:
            self.open_set = PointSet(POINT_WIDTH)
            self.opens = nn.Linear(2 * POINT_WIDTH, 2 * dim, bias=False)
            nn.init.zeros_(self.opens.weight)

    def forward(
        self, steps: Steps, cloud: Tensor | None, row: Tensor, before: Tensor, counts: Tensor | None = None
    ) -> Tensor:
        """Vectors (N, dim).

        Args:
            steps: of N steps.
            cloud: (B, P, 3) input points that `steps.points` counts in; None where there are none.
            row: (N,) the sequence of each step.
            before: (N,) kind of the group before, NUM_KINDS at the beginning.
            counts: (N, NUM_COUNTS) `count_features`, for an input that shows them; None: no count is wished.
        """
        vertices = torch.cat([steps.gate, steps.neighbours], dim=1).unflatten(1, (7, 3))  # (N, 7, 3)
        known = (vertices >= 0).all(-1)  # (N, 7)
        places = to_unit(vertices, self.bins).masked_fill(~known.unsqueeze(-1), 0)
        tip = places[:, :1]
        offsets = (places[:, 1:] - tip).masked_fill(~known[:, 1:].unsqueeze(-1), 0)
        features = [fourier(places.flatten(1), self.frequencies), fourier(offsets.flatten(1), self.frequencies, -1)]
        features += [known.float(), self._scalars(steps, cloud is not None)]
        features += self._point_sets(steps, cloud, row, places)
        joined = torch.cat([f.to(self.fc1.weight.dtype) for f in features], dim=1)
        hidden = self.fc1(joined)
        if counts is not None:
            hidden = hidden + self.counts(counts.to(hidden.dtype))
        if self.open:
            hidden = hidden + self.opens(self._open_sets(steps, places).to(hidden.dtype))
        x = self.fc2(F.gelu(hidden))
        return x + self.kind(before) + self.phase(steps.phase.long())

    def _scalars(self, steps: Steps, given: bool) -> Tensor:
        share = steps.uncovered
        open_edges = steps.open_edges.float().log1p() / 4
        rest = [torch.full_like(share, given), share, (share + 1e-3).log() / 7, open_edges]
        return torch.cat([torch.stack(rest, dim=1), steps.waiting.float()], dim=1)

    def _point_sets(self, steps: Steps, cloud: Tensor | None, row: Tensor, places: Tensor) -> list[Tensor]:
        """The sets of points (N, width) each: about the left edge and the right one, and the spread."""
        count = len(row)
        if cloud is None:
            empty = [self.near_set.empty] * 2 if self.near else []
            empty += [self.spread_set.empty] if self.spread else []
            return [vector.expand(count, -1) for vector in empty]
        present = steps.points >= 0
        index = row.unsqueeze(1), steps.points.clamp(min=0).long()
        points, normals = cloud[index].float(), steps.normals[index].float()  # (N, 2 * near + spread, 3)
        made = []
        tip = places[:, 0]
        if self.near:
            anchors = edge_anchors(steps.phase, places).view(2 * count, 1, 3)
            both = [x[:, : 2 * self.near].reshape(2 * count, self.near, -1) for x in (points, normals)]
            about = both[0] - anchors
            shown = present[:, : 2 * self.near].reshape(2 * count, self.near)
            made.append(self.near_set(about, both[1], shown).view(count, -1))
        if self.spread:
            rest = slice(2 * self.near, None)
            made.append(self.spread_set(points[:, rest] - tip.unsqueeze(1), normals[:, rest], present[:, rest]))
        return made

    def _open_sets(self, steps: Steps, places: Tensor) -> Tensor:
        """(N, 2 * POINT_WIDTH) the vertices of the open boundary about the left edge and the right one."""
        offsets, known = open_offsets(steps.open_vertices, edge_anchors(steps.phase, places), self.bins)
        offsets, known = offsets.flatten(0, 1), known.flatten(0, 1)
        return self.open_set(offsets, torch.zeros_like(offsets), known).view(len(places), -1)


def edge_anchors(phase: Tensor, places: Tensor) -> Tensor:
    """(N, 2, 3) where the next group's points are looked for, on the left and on the right: the middles of the gate's
    two edges, or the vertices there are of a first face.

    Args:
        phase: (N,).
        places: (N, 3 or more, 3) of the gate's tip, start and end, in [-1, 1].
    """
    tip, start, end = places[:, 0], places[:, 1], places[:, 2]
    turn, third = ((phase == each).unsqueeze(1) for each in (TURN_PHASE, THIRD_PHASE))
    left = torch.where(turn, (tip + end) / 2, tip)
    right = torch.where(turn, (tip + start) / 2, torch.where(third, start, tip))
    return torch.stack([left, right], 1)


def open_offsets(vertices: Tensor, anchors: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Vertices of the open boundary (N, 2 * open * 3) on the grid -> their offsets (N, 2, open, 3) from the anchors
    (N, 2, 3), zero where there is none, and (N, 2, open) whether there is one."""
    vertices = vertices.unflatten(1, (2, -1, 3))
    known = (vertices >= 0).all(-1)
    offsets = to_unit(vertices, bins) - anchors.unsqueeze(2)
    return offsets.masked_fill(~known.unsqueeze(-1), 0), known
