"""Where a new vertex may well lie: maps over the bins of an axis, made from the mesh so far and the input points.

Artists repeat coordinates, along an edge, across a plane of symmetry, over the whole mesh; and vertices lie on the
surface. The decoder weighs these maps into its logits. They hold counts and no parameters, so what is learned of them
carries over from mesh to mesh.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from core.model import native
from core.model.packed import packing

REACH = 2.0  # bins over which a point's say about the next coordinate falls by e, for each coordinate settled before
BLUR = 5  # bins
PLANE_REACH = 8.0  # bins over which the say of a point's plane falls by e with the distance from the point
LEAST_SLOPE = 0.15  # of a plane along the axis that is read off it
KEY_BASE = 1 << 20
# Of the first coordinate; of the second, which knows the first; of the last, which planes give as well.
NUM_MAPS = (5, 10, 14)


def vertex_key(vertices: Tensor) -> Tensor:
    """One integer (...) for each vertex (..., 3) on the grid, equal where they are; negative where one is missing."""
    x, y, z = vertices.long().unbind(-1)
    return (x * KEY_BASE + y) * KEY_BASE + z


class Earlier:
    """Which vertices of its own mesh each of N steps comes after; the steps are those of B meshes, one after the other.

    Attributes:
        vertices: (B, J, 3) vertices of each mesh, in the order in which they were written; -1 beyond its last.
        seen: (B, T, J) bool, those before the t-th step of a mesh.
    """

    def __init__(self, vertices: Tensor, seen: Tensor, lengths: Sequence[int] | None):
        """lengths: steps of each mesh; None: one of each."""
        self.vertices, self.seen = vertices, seen
        self.packing = None if lengths is None else packing(tuple(lengths), vertices.device)

    @classmethod
    def of_meshes(cls, vertices: Tensor, lengths: Sequence[int]) -> "Earlier":
        """Of every step of whole meshes, whose vertices (N, 3) lie one mesh after the other."""
        padded = packing(tuple(lengths), vertices.device).pad(vertices, -1)
        count, longest = padded.shape[:2]
        before = torch.ones(longest, longest, dtype=torch.bool, device=vertices.device).tril(-1)
        return cls(padded, before.expand(count, -1, -1), lengths)

    def pad(self, x: Tensor) -> Tensor:
        """(N, ...) -> (B, T, ...), zeros beyond each mesh's last step."""
        return x.unsqueeze(1) if self.packing is None else self.packing.pad(x)

    def rows(self, x: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...)."""
        return x.squeeze(1) if self.packing is None else self.packing.rows(x)


@dataclass
class MapInputs:
    """What the maps of N steps of B meshes are made from.

    Attributes:
        used: (N, 3, bins) bool, coordinates used before in the mesh.
        density: (B, 3, bins) see `point_density`.
        places: (B, P, 3) input points in bins; NaN beyond the last.
        normals: (B, P, 3) theirs.
        near: (N, 2, K) uncovered points about the left and the right edge, as indices of those; -1 for none.
        row: (N,) the mesh of each step.
    """

    used: Tensor
    density: Tensor
    places: Tensor
    normals: Tensor
    near: Tensor
    row: Tensor

    def select(self, steps: Tensor) -> "MapInputs":
        """Of some of the steps, by a mask or indices."""
        shared = self.density, self.places, self.normals
        return MapInputs(self.used[steps], *shared, self.near[steps], self.row[steps])


class Planes:
    """Points that have a say about the coordinates of N steps: K of each, with their planes.

    places, normals: (N, K, 3), the first in bins. present: (N, K).
    """

    def __init__(self, places: Tensor, normals: Tensor, present: Tensor, bins: int):
        self.places, self.normals, self.bins = places.nan_to_num(), normals, bins
        self.cells = self.places.long().clamp(0, bins - 1)
        self.present = present.float()
        self.say = self.present
        self.offsets: dict[int, Tensor] = {}  # of the coordinates settled, from the points: (N, K)

    def take(self, axis: int, value: Tensor) -> None:
        """Points that lie elsewhere along the axis than the coordinate (N,) lose their say."""
        self.say = self.say * torch.exp((self.cells[..., axis] - value.unsqueeze(1)).abs().float() / -REACH)
        self.offsets[axis] = value.unsqueeze(1) + 0.5 - self.places[..., axis]

    def count(self, axis: int, say: Tensor | None = None) -> Tensor:
        """(N, bins) how many points have each coordinate, by their say."""
        return self._sum(self.cells[..., axis], self.say if say is None else say)

    def read_off(self, axis: int) -> Tensor:
        """(N, bins) the last coordinate where the points' planes have it, given the other two."""
        slope = self.normals[..., axis]
        steep = slope.abs() >= LEAST_SLOPE
        others = sum(self.normals[..., other] * offset for other, offset in self.offsets.items())
        along = torch.where(steep, -others / torch.where(steep, slope, 1), 0)  # from the point to its plane
        distance = torch.stack([*self.offsets.values(), along]).square().sum(0).sqrt()
        say = torch.exp(distance / -PLANE_REACH) * self.present * steep
        cells = (self.places[..., axis] + along).floor()
        say = say * ((cells >= 0) & (cells < self.bins))
        return self._sum(cells.clamp(0, self.bins - 1).long(), say)

    def _sum(self, cells: Tensor, say: Tensor) -> Tensor:
        return torch.zeros(len(cells), self.bins, device=cells.device).scatter_add_(1, cells, say)


def to_bins(points: Tensor, bins: int) -> Tensor:
    """Points in [-1, 1] -> where they are on the grid, in bins from 0 to `bins`, float32."""
    return (points.float() + 1) * (bins / 2)


def point_density(places: Tensor, bins: int) -> Tensor:
    """Places in bins (B, P, 3) -> (B, 3, bins): log(1 + how many have a coordinate, over what even ones would have)."""
    cells = places.long().clamp(0, bins - 1)
    counts = torch.zeros(len(cells), 3, bins, device=cells.device)
    if cells.shape[1] == 0:
        return counts
    counts.scatter_add_(2, cells.transpose(1, 2), torch.ones(cells.shape[0], 3, cells.shape[1], device=cells.device))
    return (counts * (bins / cells.shape[1])).log1p()


class KnownMaps:
    """The maps of N steps whose coordinates are known, all made at once by the CPU's kernel: `Maps` for training.

    Args:
        inputs, earlier, right: as of `Maps`.
        vertices: (N, 3) int64 the true vertices, mesh after mesh.
    """

    def __init__(self, inputs: MapInputs, earlier: Earlier, right: Tensor, vertices: Tensor):
        bins, count = inputs.used.shape[-1], len(vertices)
        assert earlier.packing is not None
        room = -(-inputs.places.shape[1] // native.LANES) * native.LANES
        there = ~inputs.places[..., 0].isnan()
        places, normals = (  # (B, 3, room)
            F.pad(table.nan_to_num().float().transpose(1, 2), (0, room - table.shape[1]))
            for table in (inputs.places, inputs.normals)
        )
        cells = places.long().clamp(0, bins - 1).int()
        fading = torch.exp(torch.arange(bins) / -REACH)
        self.maps = [torch.empty(count, maps, bins) for maps in NUM_MAPS]
        arrays = [inputs.row, earlier.packing.number, right, inputs.used, inputs.near.int(), vertices, inputs.density]
        arrays += [there.sum(1), places, normals, cells, fading]
        numbers = (count, bins, inputs.near.shape[-1], room, torch.get_num_threads())
        native.face_maps(numbers, [*(array.contiguous() for array in arrays), *self.maps])

    @staticmethod
    def can_make(inputs: MapInputs) -> bool:
        """Whether there is a kernel for these inputs."""
        on_cpu = inputs.used.device.type == "cpu" and inputs.used.shape[-1] % native.LANES == 0
        return on_cpu and native.load() is not None

    def of(self, k: int, axis: int) -> Tensor:
        """(N, NUM_MAPS[k], bins) of the k-th coordinate."""
        return self.maps[k]

    def take(self, axis: int, value: Tensor) -> None:
        """Nothing changes: what the coordinate becomes is known."""


class Maps:
    """The maps of N steps, coordinate by coordinate: `of`, then `take` what that coordinate became."""

    def __init__(self, inputs: MapInputs, earlier: Earlier, right: Tensor):
        """right: (N,) bool, the step attaches to the right edge."""
        self.inputs, self.earlier = inputs, earlier
        self.bins = inputs.used.shape[-1]
        with torch.no_grad():
            index = torch.where(right.unsqueeze(1), inputs.near[:, 1], inputs.near[:, 0])  # (N, K)
            self.near = self._planes(inputs.row.unsqueeze(1), index.clamp(min=0), index >= 0)
        self.cloud: Planes | None = None
        self.equal: Tensor | None = None

    def _planes(self, row: Tensor, index: Tensor | slice, present: Tensor | None = None) -> Planes:
        inputs = self.inputs
        if inputs.places.shape[1] == 0:
            empty = inputs.places.new_zeros(len(inputs.row), 0, 3)
            return Planes(empty, empty, empty[..., 0] > 0, self.bins)
        places = inputs.places[row, index]
        there = ~places[..., 0].isnan() if present is None else present
        return Planes(places, inputs.normals[row, index], there, self.bins)

    def of(self, k: int, axis: int) -> Tensor:
        """(N, NUM_MAPS[k], bins) of the k-th coordinate, which is of this axis."""
        inputs, near = self.inputs, self.near
        used = inputs.used[:, axis].float()
        about = near.count(axis, near.present).log1p()
        maps = [used, used.flip(-1), inputs.density[inputs.row, axis], about, _blur(about)]
        if k:
            assert self.cloud is not None
            cloud, again = self.cloud.count(axis), self._used_with(axis)
            maps += [near.count(axis).log1p(), cloud.log1p(), _blur(cloud).log1p(), again, again.flip(-1)]
        if k == 2:
            assert self.cloud is not None
            for points in (near, self.cloud):
                read = points.read_off(axis)
                maps += [read.log1p(), _blur(read).log1p()]
        return torch.stack(maps, dim=1)

    def take(self, axis: int, value: Tensor) -> None:
        """This axis's coordinate is (N,): points and vertices that have another one lose their say."""
        inputs, earlier = self.inputs, self.earlier
        if self.cloud is None:
            self.cloud = self._planes(inputs.row, slice(None))
        self.near.take(axis, value)
        self.cloud.take(axis, value)
        same = earlier.pad(value).unsqueeze(2) == earlier.vertices[:, :, axis].unsqueeze(1)  # (B, T, J)
        self.equal = same & (earlier.seen if self.equal is None else self.equal)

    def _used_with(self, axis: int) -> Tensor:
        """(N, bins) log(1 + how often the coordinate stands beside those settled already)."""
        earlier = self.earlier
        assert self.equal is not None
        cells = earlier.vertices[:, :, axis].clamp(min=0).unsqueeze(1).expand_as(self.equal)
        counts = torch.zeros(*self.equal.shape[:2], self.bins, device=cells.device)
        return earlier.rows(counts.scatter_add_(2, cells.long(), self.equal.float()).log1p())


def _blur(maps: Tensor) -> Tensor:
    """(N, bins) averaged over BLUR bins."""
    return F.avg_pool1d(maps.unsqueeze(1), BLUR, 1, BLUR // 2).squeeze(1)
