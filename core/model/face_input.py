"""The face decoder's input: the observation before each step (gate, open boundary, uncovered points) as a vector."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from meto.surface import NUM_KINDS, NUM_PHASES, THIRD_PHASE, TURN_PHASE, Observation

POINT_FREQUENCIES = 5
POINT_HIDDEN, POINT_WIDTH = 64, 96
PLANE_FEATURES = 7
NUM_SCALARS = 6
NUM_COUNTS = 4  # features of the faces left


class Points(NamedTuple):
    """Input points of B sequences and their normals, (B, P, 3) each."""

    cloud: Tensor
    normals: Tensor


def to_unit(grid: Tensor, bins: int) -> Tensor:
    """Grid coordinates -> centres of their cells in [-1, 1], float32."""
    return (grid.float() + 0.5) * (2 / bins) - 1


def fourier(x: Tensor, frequencies: int, lowest: int = 0) -> Tensor:
    """(..., C) in [-1, 1] -> (..., C * (2 * frequencies + 1)): x, and sines and cosines of 2^k * pi * x."""
    scale = math.pi * 2.0 ** torch.arange(lowest, lowest + frequencies, device=x.device)
    angles = (x.unsqueeze(-1) * scale).flatten(-2)
    return torch.cat([x, angles.sin(), angles.cos()], dim=-1)


def plane_features(offsets: Tensor, normals: Tensor) -> Tensor:
    """(..., 7): the normal's outer product with itself, which has no sign, and the anchor's distance to the plane."""
    x, y, z = normals.unbind(-1)
    distance = (offsets * normals).sum(-1).abs()
    return torch.stack([x * x, y * y, z * z, x * y, x * z, y * z, distance], dim=-1)


class PointSet(nn.Module):
    """A set of points about an anchor -> a vector: an MLP on each point, then the maximum of each channel."""

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
    """Features (N, NUM_COUNTS) float32 of how many faces are left; zeros where no count is wished.

    Args:
        wished: (N,) wished face counts; <= 0 is unknown.
        written: (N,) faces so far.
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
    """The vector of each step, from the kind of the group before it and the observation.

    Args:
        dim: channels of the vector.
        bins: of the grid.
        near, spread: observed points, see `core.groups.StepConfig`.
        counted: the faces left of the wished count are an input too.
        open: observed vertices of the open boundary about each edge.
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
        self,
        observed: Observation,
        points: Points | None,
        row: Tensor,
        before: Tensor,
        counts: Tensor | None = None,
    ) -> Tensor:
        """Vectors (N, dim).

        Args:
            observed: before each of N steps, as tensors.
            points: of B sequences, which `observed.points` indexes; None where there are none.
            row: (N,) the sequence of each step.
            before: (N,) kind of the group before, NUM_KINDS at the beginning.
            counts: (N, NUM_COUNTS) `count_features`, for an input that has them; None: no count is wished.
        """
        vertices = torch.cat([observed.gate, observed.neighbours], dim=1).unflatten(1, (7, 3))  # (N, 7, 3)
        known = (vertices >= 0).all(-1)  # (N, 7)
        places = to_unit(vertices, self.bins).masked_fill(~known.unsqueeze(-1), 0)
        tip = places[:, :1]
        offsets = (places[:, 1:] - tip).masked_fill(~known[:, 1:].unsqueeze(-1), 0)
        features = [fourier(places.flatten(1), self.frequencies), fourier(offsets.flatten(1), self.frequencies, -1)]
        features += [known.float(), self._scalars(observed, points is not None)]
        features += self._point_sets(observed, points, row, places)
        joined = torch.cat([f.to(self.fc1.weight.dtype) for f in features], dim=1)
        hidden = self.fc1(joined)
        if counts is not None:
            hidden = hidden + self.counts(counts.to(hidden.dtype))
        if self.open:
            hidden = hidden + self.opens(self._open_sets(observed, places).to(hidden.dtype))
        x = self.fc2(F.gelu(hidden))
        return x + self.kind(before) + self.phase(observed.phase.long())

    def _scalars(self, observed: Observation, has_points: bool) -> Tensor:
        share = observed.uncovered
        open_edges = observed.open_edges.float().log1p() / 4
        rest = [torch.full_like(share, has_points), share, (share + 1e-3).log() / 7, open_edges]
        return torch.cat([torch.stack(rest, dim=1), observed.waiting.float()], dim=1)

    def _point_sets(self, observed: Observation, points: Points | None, row: Tensor, places: Tensor) -> list[Tensor]:
        """The vectors of the uncovered points near the two edges (N, 2 * POINT_WIDTH) and of the spread ones."""
        count = len(row)
        if points is None:
            empty = [self.near_set.empty] * 2 if self.near else []
            empty += [self.spread_set.empty] if self.spread else []
            return [vector.expand(count, -1) for vector in empty]
        present = observed.points >= 0
        index = row.unsqueeze(1), observed.points.clamp(min=0).long()
        positions, normals = points.cloud[index].float(), points.normals[index].float()  # (N, 2 * near + spread, 3)
        sets = []
        tip = places[:, 0]
        if self.near:
            anchors = edge_anchors(observed.phase, places).view(2 * count, 1, 3)
            both = [x[:, : 2 * self.near].reshape(2 * count, self.near, -1) for x in (positions, normals)]
            about = both[0] - anchors
            known = present[:, : 2 * self.near].reshape(2 * count, self.near)
            sets.append(self.near_set(about, both[1], known).view(count, -1))
        if self.spread:
            rest = slice(2 * self.near, None)
            sets.append(self.spread_set(positions[:, rest] - tip.unsqueeze(1), normals[:, rest], present[:, rest]))
        return sets

    def _open_sets(self, observed: Observation, places: Tensor) -> Tensor:
        """The vectors (N, 2 * POINT_WIDTH) of the open boundary's vertices about the left edge and the right one."""
        offsets, known = open_offsets(observed.open_vertices, edge_anchors(observed.phase, places), self.bins)
        offsets, known = offsets.flatten(0, 1), known.flatten(0, 1)
        return self.open_set(offsets, torch.zeros_like(offsets), known).view(len(places), -1)


def edge_anchors(phase: Tensor, places: Tensor) -> Tensor:
    """The anchors (N, 2, 3) about which points and vertices are observed, left and right: the middles of the gate's two
    edges, or the vertices of a first face so far.

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
