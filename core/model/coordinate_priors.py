"""Parameter-free priors of a new vertex's coordinates: features over an axis's bins, of the mesh so far and the points.

Artists repeat coordinates, along an edge, across a plane of symmetry, over the whole mesh; and vertices lie on the
surface. The face decoder adds these features to its logits with learned weights, which carry over from mesh to mesh.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from core import kernels
from core.model.packed import packing

REACH = 2.0  # a point's weight falls by e every so many bins that its coordinate is from one that is fixed
BLUR = 5  # bins
PLANE_REACH = 8.0  # the weight of a point's tangent plane falls by e every so many bins from the point
LEAST_SLOPE = 0.15  # a plane less steep along an axis does not tell that coordinate
KEY_BASE = 1 << 20
# Number of priors for y, for z given y, and for x given y and z (which adds the tangent planes').
NUM_PRIORS = (5, 10, 14)


def vertex_key(vertices: Tensor) -> Tensor:
    """One integer (...) for each vertex (..., 3) on the grid; equal for equal vertices, negative for missing ones."""
    x, y, z = vertices.long().unbind(-1)
    return (x * KEY_BASE + y) * KEY_BASE + z


class VertexHistory:
    """The vertices of its own mesh that were written before each of N steps, which lie one of B meshes after the other.

    Attributes:
        vertices: (B, J, 3) vertices of each mesh, in the order in which they were written; -1 beyond its last.
        seen: (B, T, J) bool, those before the t-th step of a mesh.

    Args:
        lengths: steps of each mesh; None where all have T.
    """

    def __init__(self, vertices: Tensor, seen: Tensor, lengths: Sequence[int] | None = None):
        self.vertices, self.seen = vertices, seen
        self.packing = None if lengths is None else packing(tuple(lengths), vertices.device)

    @classmethod
    def from_meshes(cls, vertices: Tensor, lengths: Sequence[int]) -> "VertexHistory":
        """The history of every step of whole meshes, whose vertices (N, 3) lie one mesh after the other."""
        padded = packing(tuple(lengths), vertices.device).pad(vertices, -1)
        count, longest = padded.shape[:2]
        before = torch.ones(longest, longest, dtype=torch.bool, device=vertices.device).tril(-1)
        return cls(padded, before.expand(count, -1, -1), lengths)

    def pad(self, x: Tensor) -> Tensor:
        """(N, ...) -> (B, T, ...), zeros beyond each mesh's last step."""
        return x.unflatten(0, (len(self.vertices), -1)) if self.packing is None else self.packing.pad(x)

    def rows(self, x: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...)."""
        return x.flatten(0, 1) if self.packing is None else self.packing.rows(x)


@dataclass
class PriorInputs:
    """What the priors of N steps of B meshes are made from.

    Attributes:
        used: (N, 3, bins) bool, coordinates used before in the mesh.
        density: (B, 3, bins) see `point_density`.
        places: (B, P, 3) input points in bins.
        normals: (B, P, 3) their normals.
        near: (N, 2, K) indices of uncovered points about the left and the right edge; -1 for none.
        row: (N,) the mesh of each step.
        num_points: (B,) how many of the points each mesh has; None where all have P.
    """

    used: Tensor
    density: Tensor
    places: Tensor
    normals: Tensor
    near: Tensor
    row: Tensor
    num_points: Tensor | None = None

    def select(self, steps: Tensor) -> "PriorInputs":
        """The inputs of some of the steps, by a mask or indices."""
        return replace(self, used=self.used[steps], near=self.near[steps], row=self.row[steps])


class TangentPlanes:
    """K weighted points for each of N steps, with their tangent planes.

    Args:
        places, normals: (N, K, 3), the first in bins.
        present: (N, K) bool; the others weigh nothing.
    """

    def __init__(self, places: Tensor, normals: Tensor, present: Tensor, bins: int):
        self.places, self.normals, self.bins = places, normals, bins
        self.cells = self.places.long().clamp(0, bins - 1)
        self.present = present.float()
        self.weight = self.present
        self.offsets: dict[int, Tensor] = {}  # by axis: (N, K) from the points to the coordinates that are fixed

    def fix(self, axis: int, value: Tensor) -> None:
        """Fix the coordinate (N,) of an axis: points lose weight with their distance from it."""
        self.weight = self.weight * torch.exp((self.cells[..., axis] - value.unsqueeze(1)).abs().float() / -REACH)
        self.offsets[axis] = value.unsqueeze(1) + 0.5 - self.places[..., axis]

    def count(self, axis: int, weight: Tensor | None = None) -> Tensor:
        """(N, bins) the summed weight of the points with each coordinate of an axis."""
        return self._sum(self.cells[..., axis], self.weight if weight is None else weight)

    def read_off(self, axis: int) -> Tensor:
        """(N, bins) the weights of the last coordinate as the tangent planes give it, by the two that are fixed."""
        slope = self.normals[..., axis]
        steep = slope.abs() >= LEAST_SLOPE
        others = sum(self.normals[..., other] * offset for other, offset in self.offsets.items())
        along = torch.where(steep, -others / torch.where(steep, slope, 1), 0)  # from the point to its plane
        distance = torch.stack([*self.offsets.values(), along]).square().sum(0).sqrt()
        weight = torch.exp(distance / -PLANE_REACH) * self.present * steep
        cells = (self.places[..., axis] + along).floor()
        weight = weight * ((cells >= 0) & (cells < self.bins))
        return self._sum(cells.clamp(0, self.bins - 1).long(), weight)

    def _sum(self, cells: Tensor, weight: Tensor) -> Tensor:
        return torch.zeros(len(cells), self.bins, device=cells.device).scatter_add_(1, cells, weight)


def to_bins(points: Tensor, bins: int) -> Tensor:
    """Points in [-1, 1] -> their places on the grid, in bins from 0 to `bins`, float32."""
    return (points.float() + 1) * (bins / 2)


def point_density(places: Tensor, bins: int) -> Tensor:
    """Places in bins (B, P, 3) -> (B, 3, bins): log(1 + the number with each coordinate over its mean)."""
    cells = places.long().clamp(0, bins - 1)
    counts = torch.zeros(len(cells), 3, bins, device=cells.device)
    if cells.shape[1] == 0:
        return counts
    counts.scatter_add_(2, cells.transpose(1, 2), torch.ones(cells.shape[0], 3, cells.shape[1], device=cells.device))
    return (counts * (bins / cells.shape[1])).log1p()


class KnownPriors:
    """`CoordinatePriors` of N steps whose groups are known, all computed at once by the CPU's kernel: for training.

    Args:
        inputs, history, right: as of `CoordinatePriors`.
        groups: (N, 4) int32 the true groups, mesh after mesh.
    """

    def __init__(self, inputs: PriorInputs, history: VertexHistory, right: Tensor, groups: Tensor):
        bins, count = inputs.used.shape[-1], len(groups)
        assert history.packing is not None
        meshes, points = inputs.places.shape[:2]
        room = -(-points // kernels.LANES) * kernels.LANES
        places, normals = (  # (B, 3, room)
            F.pad(table.float().transpose(1, 2), (0, room - points)) for table in (inputs.places, inputs.normals)
        )
        cells = places.long().clamp(0, bins - 1).int()
        self.priors = [torch.empty(count, priors, bins) for priors in NUM_PRIORS]
        arrays = [
            inputs.row,
            history.packing.number,
            right,
            inputs.used,
            inputs.near.int(),
            groups.int(),
            inputs.density,
        ]
        arrays += [torch.full((meshes,), points), places, normals, cells, torch.exp(torch.arange(bins) / -REACH)]
        arrays = [array.contiguous() for array in arrays]
        kernels.known_priors(
            *(count, bins, inputs.near.shape[-1], room, torch.get_num_threads()),
            *(array.data_ptr() for array in arrays),
            out=[array.data_ptr() for array in self.priors],
        )

    @staticmethod
    def can_compute(inputs: PriorInputs) -> bool:
        """Whether there is a kernel for these inputs."""
        on_cpu = inputs.used.device.type == "cpu" and inputs.used.shape[-1] % kernels.LANES == 0
        return on_cpu and inputs.num_points is None and kernels.load() is not None

    def features(self, k: int, axis: int) -> Tensor:
        """(N, NUM_PRIORS[k], bins) of the k-th coordinate."""
        return self.priors[k]

    def fix(self, axis: int, value: Tensor) -> None:
        """Nothing changes: the coordinate was known."""


class CoordinatePriors:
    """The priors of N steps, coordinate by coordinate: call `features`, then `fix` with the coordinate's value.

    Args:
        right: (N,) bool, the step attaches to the right edge.
    """

    def __init__(self, inputs: PriorInputs, history: VertexHistory, right: Tensor):
        self.inputs, self.history = inputs, history
        self.bins = inputs.used.shape[-1]
        with torch.no_grad():
            index = torch.where(right.unsqueeze(1), inputs.near[:, 1], inputs.near[:, 0])  # (N, K)
            self.near = self._planes(inputs.row.unsqueeze(1), index.clamp(min=0), index >= 0)
        self.cloud: TangentPlanes | None = None
        self.equal: Tensor | None = None

    def _planes(self, row: Tensor, index: Tensor | slice, present: Tensor | None = None) -> TangentPlanes:
        inputs = self.inputs
        if inputs.places.shape[1] == 0:
            empty = inputs.places.new_zeros(len(inputs.row), 0, 3)
            return TangentPlanes(empty, empty, empty[..., 0] > 0, self.bins)
        places = inputs.places[row, index]
        if present is None:
            present = torch.ones_like(places[..., 0], dtype=torch.bool)
            if inputs.num_points is not None:
                counts = inputs.num_points[row].unsqueeze(1)
                present = torch.arange(places.shape[1], device=places.device) < counts
        return TangentPlanes(places, inputs.normals[row, index], present, self.bins)

    def features(self, k: int, axis: int) -> Tensor:
        """(N, NUM_PRIORS[k], bins) of the k-th coordinate, which is of this axis."""
        inputs, near = self.inputs, self.near
        used = inputs.used[:, axis].float()
        about = near.count(axis, near.present).log1p()
        features = [used, used.flip(-1), inputs.density[inputs.row, axis], about, _blur(about)]
        if k:
            assert self.cloud is not None
            cloud, again = self.cloud.count(axis), self._used_with(axis)
            features += [near.count(axis).log1p(), cloud.log1p(), _blur(cloud).log1p(), again, again.flip(-1)]
        if k == 2:
            assert self.cloud is not None
            for points in (near, self.cloud):
                read = points.read_off(axis)
                features += [read.log1p(), _blur(read).log1p()]
        return torch.stack(features, dim=1)

    def fix(self, axis: int, value: Tensor) -> None:
        """Fix the coordinate (N,) of an axis; points lose weight with their distance, other vertices do not count."""
        inputs, history = self.inputs, self.history
        if self.cloud is None:
            self.cloud = self._planes(inputs.row, slice(None))
        self.near.fix(axis, value)
        self.cloud.fix(axis, value)
        same = history.pad(value).unsqueeze(2) == history.vertices[:, :, axis].unsqueeze(1)  # (B, T, J)
        self.equal = same & (history.seen if self.equal is None else self.equal)

    def _used_with(self, axis: int) -> Tensor:
        """(N, bins) log(1 + how many vertices with the fixed coordinates have each coordinate)."""
        history = self.history
        assert self.equal is not None
        cells = history.vertices[:, :, axis].clamp(min=0).unsqueeze(1).expand_as(self.equal)
        counts = torch.zeros(*self.equal.shape[:2], self.bins, device=cells.device)
        return history.rows(counts.scatter_add_(2, cells.long(), self.equal.float()).log1p())


def _blur(counts: Tensor) -> Tensor:
    """(N, bins) averaged over BLUR bins."""
    return F.avg_pool1d(counts.unsqueeze(1), BLUR, 1, BLUR // 2).squeeze(1)
