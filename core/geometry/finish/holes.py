"""Holes are closed where the input points say that there is surface."""

from typing import NamedTuple

import numpy as np

from core.geometry.finish.loops import find_loops, triangulate
from core.geometry.finish.working import WorkingMesh, crosses_any, is_sliver, normals, sides_of
from core.geometry.vectors import cross, lengths

ROUNDS = 6
FLAT = 0.1  # height over the longest side below which a hole of three edges is a vertex that lies on an edge
UNSUPPORTED = 4.0  # how much more the area costs for which no point speaks
FOLD = 0.5  # what a fold back costs, in squares of the edge's length
BLIND_RIM = 0.25  # of the diagonal: longer rims stay open where there are no points to ask


class _Side(NamedTuple):
    """normal: (3,) of the face beyond an edge of the rim, as seen from a face that goes on from it."""

    normal: np.ndarray
    length: float


def fill_holes(mesh: WorkingMesh, demand: float, around: np.ndarray | None = None) -> int:
    """Close the rims of holes, the short ones first; returns how many faces were added.

    Args:
        mesh: changed.
        demand: share of a patch's area that points must speak for; 0 fills whatever can be filled.
        around: vertices of which a rim must have one, to be looked at.
    """
    before = len(mesh.faces)
    for _ in range(ROUNDS):
        rims = find_loops(mesh.open_edges()[0], mesh.vertices)
        rims = [rim for rim in rims if around is None or np.isin(rim, around).any()]
        filled = [fill_rim(mesh, rim, demand) for rim in rims]
        if not any(filled):
            break
    return len(mesh.faces) - before


def fill_rim(mesh: WorkingMesh, rim: list[int], demand: float) -> bool:
    """Close one rim by triangles between its vertices; returns whether that could be done."""
    ring = np.array(rim)
    if len(ring) == 3 and _is_flat(mesh.vertices[ring]):
        return _sides(mesh, ring) is not None and _split_beyond(mesh, ring)
    added = patch(mesh, rim, demand)
    return added is not None and mesh.try_change(mesh.vertices, mesh.faces, mesh.ids, added)


def patch(mesh: WorkingMesh, rim: list[int], demand: float, may_cross: bool = False) -> np.ndarray | None:
    """(N, 3) the best faces to close a rim with; None where there are none.

    Args:
        mesh: is not changed.
        rim: its vertices, in the order of its faces.
        demand: as for `fill_holes`.
        may_cross: they may cut through faces that are there.
    """
    ring = np.array(rim)
    sides = _sides(mesh, ring)
    if sides is None or (demand > 0 and not _is_small_or_seen(mesh, ring)):
        return None
    weigh = _Costs(mesh, ring, sides, demand, may_cross)
    triangles = triangulate(len(ring), weigh.costs, weigh.join)
    if triangles is None:
        return None
    added = ring[np.array(triangles)][:, ::-1]  # the rim runs as its faces do, so what fills it runs the other way
    return added if weigh.is_supported(added) else None


def _is_small_or_seen(mesh: WorkingMesh, ring: np.ndarray) -> bool:
    """Whether a rim is short enough to be closed unseen, or there are points to ask."""
    return mesh.support is not None or (
        float(lengths(mesh.vertices[ring] - mesh.vertices[np.roll(ring, -1)]).sum()) <= BLIND_RIM
    )


def _sides(mesh: WorkingMesh, ring: np.ndarray) -> list[_Side] | None:
    """What lies beyond each edge of a rim; None where an edge of it is closed meanwhile."""
    edges, face = mesh.open_edges()
    found = {}
    for (a, b), f in zip(edges.tolist(), face.tolist(), strict=True):
        found[a, b], found[b, a] = (f, 1.0), (f, -1.0)
    sides = []
    for a, b in zip(ring.tolist(), np.roll(ring, -1).tolist(), strict=True):
        if (a, b) not in found:
            return None
        f, sign = found[a, b]
        normal = sign * normals(mesh.vertices[mesh.faces[f : f + 1]])[0]
        sides.append(_Side(normal, float(np.linalg.norm(mesh.vertices[a] - mesh.vertices[b]))))
    return sides


class _Costs:
    """What triangles between the vertices of a rim cost: area, more where no point speaks for it, and folds."""

    def __init__(self, mesh: WorkingMesh, ring: np.ndarray, sides: list[_Side], demand: float, may_cross: bool = False):
        self.mesh, self.ring, self.sides, self.demand, self.may_cross = mesh, ring, sides, demand, may_cross
        self.at = mesh.vertices[ring]
        there = sides_of(mesh.faces)
        inside = np.isin(there, ring).all(axis=1)
        self.edges = {(a, b) for a, b in np.sort(there[inside], axis=1).tolist()}
        self._normals: dict[tuple, np.ndarray] = {}

    def costs(self, triangles: np.ndarray) -> np.ndarray:
        """(N,) of triangles (N, 3) of places on the rim, in ascending order."""
        corners = self.at[triangles]
        areas = lengths(cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])) / 2
        allowed = ~is_sliver(corners) & ~self._repeats_an_edge(triangles)
        shares = np.ones(len(triangles))
        if self.mesh.support is not None and self.demand > 0:
            shares[allowed] = self.mesh.support.shares(corners[allowed])
        if not self.may_cross:
            rows = np.flatnonzero(allowed)
            allowed[rows] &= ~crosses_any(corners[rows], self.mesh.vertices[self.mesh.faces])
        for triangle, normal in zip(triangles.tolist(), -normals(corners), strict=True):
            self._normals[tuple(triangle)] = normal
        return np.where(allowed, areas * (1 + UNSUPPORTED * (1 - shares)), np.inf)

    def join(self, triangle: tuple, beyond: tuple) -> float:
        """What the angle between a triangle and what lies beyond one of its edges costs."""
        normal = self._normals[triangle]
        if len(beyond) == 3:
            shared = sorted(set(triangle) & set(beyond))
            cosine = float(normal @ self._normals[beyond])
            length = float(np.linalg.norm(self.at[shared[0]] - self.at[shared[1]]))
        else:
            side = self.sides[beyond[0] if beyond[1] == beyond[0] + 1 else beyond[1]]
            cosine, length = float(normal @ side.normal), side.length
        return FOLD * (1 - cosine) / 2 * length**2 * ((1 - cosine) / 2)

    def is_supported(self, faces: np.ndarray) -> bool:
        """Whether points speak for as much of the patch as is demanded."""
        if self.mesh.support is None or self.demand <= 0:
            return True
        corners = self.mesh.vertices[faces]
        areas = lengths(cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
        return float(self.mesh.support.shares(corners) @ areas) >= self.demand * float(areas.sum())

    def _repeats_an_edge(self, triangles: np.ndarray) -> np.ndarray:
        """(N,) whether a side that is no part of the rim is an edge that there is already."""
        count = len(self.ring)
        bad = np.zeros(len(triangles), bool)
        for one, two in ((0, 1), (1, 2), (0, 2)):
            i, j = triangles[:, one], triangles[:, two]
            inner = (j - i != 1) & (j - i != count - 1)
            ends = np.sort(np.stack([self.ring[i], self.ring[j]], axis=1), axis=1)
            bad |= inner & np.array([(a, b) in self.edges for a, b in ends.tolist()], bool)
        return bad


def _is_flat(corners: np.ndarray) -> bool:
    longest = max(float(np.linalg.norm(corners[j] - corners[j - 1])) for j in range(3))
    area = float(np.linalg.norm(np.cross(corners[1] - corners[0], corners[2] - corners[0])))
    return area <= FLAT * longest**2


def _split_beyond(mesh: WorkingMesh, ring: np.ndarray) -> bool:
    """Close a hole of three edges in a line: the face at the longest one is split where the third vertex lies."""
    spans = [float(np.linalg.norm(mesh.vertices[ring[j]] - mesh.vertices[ring[(j + 1) % 3]])) for j in range(3)]
    j = int(np.argmax(spans))
    a, b, middle = int(ring[j]), int(ring[(j + 1) % 3]), int(ring[(j + 2) % 3])
    row = int(np.flatnonzero((mesh.faces == a).any(axis=1) & (mesh.faces == b).any(axis=1))[0])
    face = mesh.faces[row]
    if middle in face:
        return False
    halves = np.stack([np.where(face == b, middle, face), np.where(face == a, middle, face)])
    keep = np.arange(len(mesh.faces)) != row
    return mesh.try_change(mesh.vertices, mesh.faces[keep], mesh.ids[keep], halves)
