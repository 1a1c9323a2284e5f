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

REACH = 2.0  # bins over which a point's say about the next coordinate falls by e, for each coordinate settled before
BLUR = 5  # bins
# Of the first coordinate, and of the two after it, which know those before.
NUM_MAPS = (5, 10, 10)


class Earlier:
    """Which vertices of its own mesh each of N steps comes after; the steps are those of B meshes, one after the other.

    Attributes:
        vertices: (B, J, 3) vertices of each mesh, in the order in which they were written; -1 beyond its last.
        seen: (B, T, J) bool, those before the t-th step of a mesh.
    """

    def __init__(self, vertices: Tensor, seen: Tensor, lengths: Sequence[int] | None):
        """lengths: steps of each mesh; None: one of each."""
        self.vertices, self.seen, self.lengths = vertices, seen, lengths
        if lengths is not None:
            count = torch.tensor(lengths, device=vertices.device).unsqueeze(1)
            self.real = torch.arange(seen.shape[1], device=vertices.device) < count  # (B, T)

    @classmethod
    def of_meshes(cls, vertices: Tensor, lengths: Sequence[int]) -> "Earlier":
        """Of every step of whole meshes, whose vertices (N, 3) lie one mesh after the other."""
        padded = torch.nn.utils.rnn.pad_sequence(vertices.split(list(lengths)), batch_first=True, padding_value=-1)
        count, longest = padded.shape[:2]
        before = torch.ones(longest, longest, dtype=torch.bool, device=vertices.device).tril(-1)
        return cls(padded, before.expand(count, -1, -1), lengths)

    def pad(self, x: Tensor) -> Tensor:
        """(N, ...) -> (B, T, ...), zeros beyond each mesh's last step."""
        if self.lengths is None:
            return x.unsqueeze(1)
        return torch.nn.utils.rnn.pad_sequence(x.split(list(self.lengths)), batch_first=True)

    def rows(self, x: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...)."""
        return x.squeeze(1) if self.lengths is None else x[self.real]


@dataclass
class MapInputs:
    """What the maps of N steps of B meshes are made from.

    Attributes:
        used: (N, 3, bins) bool, coordinates used before in the mesh.
        density: (B, 3, bins) see `point_density`.
        cells: (B, P, 3) cells of the input points; -1 beyond the last.
        near: (N, 2, K, 3) cells of the uncovered points about the left and the right edge; -1 for none.
        row: (N,) the mesh of each step.
    """

    used: Tensor
    density: Tensor
    cells: Tensor
    near: Tensor
    row: Tensor

    def select(self, steps: Tensor) -> "MapInputs":
        """Of some of the steps, by a mask or indices."""
        return MapInputs(self.used[steps], self.density, self.cells, self.near[steps], self.row[steps])


def to_cells(points: Tensor, bins: int) -> Tensor:
    """Points in [-1, 1] -> their cells, int64."""
    return ((points.float() + 1) * (bins / 2)).long().clamp(0, bins - 1)


def point_density(cells: Tensor, bins: int) -> Tensor:
    """Cells (B, P, 3) -> (B, 3, bins): log(1 + how many have a coordinate, over what even ones would have)."""
    counts = torch.zeros(len(cells), 3, bins, device=cells.device)
    if cells.shape[1] == 0:
        return counts
    counts.scatter_add_(2, cells.transpose(1, 2), torch.ones(cells.shape[0], 3, cells.shape[1], device=cells.device))
    return (counts * (bins / cells.shape[1])).log1p()


class Maps:
    """The maps of N steps, coordinate by coordinate: `of`, then `take` what that coordinate became."""

    def __init__(self, inputs: MapInputs, earlier: Earlier, right: Tensor):
        """right: (N,) bool, the step attaches to the right edge."""
        self.inputs, self.earlier = inputs, earlier
        self.bins = inputs.used.shape[-1]
        with torch.no_grad():
            self.near = torch.where(right.view(-1, 1, 1), inputs.near[:, 1], inputs.near[:, 0])  # (N, K, 3)
            self.near_say = (self.near[..., 0] >= 0).float()
        self.cloud_say: Tensor | None = None
        self.equal: Tensor | None = None

    def of(self, k: int, axis: int) -> Tensor:
        """(N, NUM_MAPS[k], bins) of the k-th coordinate, which is of this axis."""
        inputs = self.inputs
        used = inputs.used[:, axis].float()
        present = (self.near[..., 0] >= 0).float()
        near = self._count(self.near[..., axis], present)
        maps = [used, used.flip(-1), inputs.density[inputs.row, axis], near.log1p(), _blur(near.log1p())]
        if k:
            assert self.cloud_say is not None
            assert self.equal is not None
            cloud = self._count(inputs.cells[inputs.row, :, axis], self.cloud_say)
            again = self._used_with(axis)
            maps += [self._count(self.near[..., axis], self.near_say).log1p(), cloud.log1p(), _blur(cloud).log1p()]
            maps += [again, again.flip(-1)]
        return torch.stack(maps, dim=1)

    def take(self, axis: int, value: Tensor) -> None:
        """This axis's coordinate is (N,): points and vertices that have another one lose their say."""
        inputs, earlier = self.inputs, self.earlier
        self.near_say = self.near_say * _closeness(self.near[..., axis], value)
        cells = inputs.cells[inputs.row, :, axis]
        closeness = _closeness(cells, value).masked_fill(cells < 0, 0)
        self.cloud_say = closeness if self.cloud_say is None else self.cloud_say * closeness
        same = earlier.pad(value).unsqueeze(2) == earlier.vertices[:, :, axis].unsqueeze(1)  # (B, T, J)
        self.equal = same & (earlier.seen if self.equal is None else self.equal)

    def _count(self, cells: Tensor, say: Tensor) -> Tensor:
        """(N, K) cells and the say of each -> (N, bins)."""
        counts = torch.zeros(len(cells), self.bins, device=cells.device)
        return counts.scatter_add_(1, cells.clamp(min=0), say)

    def _used_with(self, axis: int) -> Tensor:
        """(N, bins) log(1 + how often the coordinate stands beside those settled already)."""
        earlier = self.earlier
        assert self.equal is not None
        cells = earlier.vertices[:, :, axis].clamp(min=0).unsqueeze(1).expand_as(self.equal)
        counts = torch.zeros(*self.equal.shape[:2], self.bins, device=cells.device)
        return earlier.rows(counts.scatter_add_(2, cells.long(), self.equal.float()).log1p())


def _closeness(cells: Tensor, value: Tensor) -> Tensor:
    return torch.exp((cells - value.unsqueeze(1)).abs().float() / -REACH)


def _blur(maps: Tensor) -> Tensor:
    """(N, bins) averaged over BLUR bins."""
    return F.avg_pool1d(maps.unsqueeze(1), BLUR, 1, BLUR // 2).squeeze(1)
